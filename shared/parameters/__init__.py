"""What the bank may change without a programmer: products, clocks, words, calendar.

Every file carries a version and is checked on load; events name version and digest of the product.
A product has several versions side by side, and an application keeps the one that it began with.
"""

from shared.parameters.load import (
    ChangedVersionError,
    UnknownVersionError,
    digest_held,
    load_attention,
    load_calendar,
    load_checklist_items,
    load_clocks,
    load_papers,
    load_phrases,
    load_products,
    load_return_codes,
    product_of,
    product_on,
    terms_of,
)
from shared.parameters.models import (
    APPLICANT_TYPES,
    AgeRange,
    Attention,
    Calendar,
    ChecklistItems,
    Clocks,
    Condition,
    Papers,
    Phrases,
    Product,
    Requirement,
    ReturnCodes,
    Terms,
    Words,
)
from shared.parameters.reading import ParametersError

__all__ = [
    "APPLICANT_TYPES",
    "AgeRange",
    "Attention",
    "Calendar",
    "ChangedVersionError",
    "ChecklistItems",
    "Clocks",
    "Condition",
    "Papers",
    "ParametersError",
    "Phrases",
    "Product",
    "Requirement",
    "ReturnCodes",
    "Terms",
    "UnknownVersionError",
    "Words",
    "digest_held",
    "load_attention",
    "load_calendar",
    "load_checklist_items",
    "load_clocks",
    "load_papers",
    "load_phrases",
    "load_products",
    "load_return_codes",
    "product_of",
    "product_on",
    "terms_of",
]
