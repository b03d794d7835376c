"""What the bank may change without a programmer: products, clocks, words, calendar.

Every file carries a version and is checked on load; events name version and digest used.
"""

from shared.parameters.load import (
    ParametersError,
    UnknownVersionError,
    load_calendar,
    load_checklist_items,
    load_clocks,
    load_papers,
    load_phrases,
    load_products,
    load_return_codes,
    product_of,
)
from shared.parameters.models import (
    APPLICANT_TYPES,
    AgeRange,
    Calendar,
    ChecklistItems,
    Clocks,
    Condition,
    Papers,
    Phrases,
    Product,
    Requirement,
    ReturnCodes,
    Words,
)

__all__ = [
    "APPLICANT_TYPES",
    "AgeRange",
    "Calendar",
    "ChecklistItems",
    "Clocks",
    "Condition",
    "Papers",
    "ParametersError",
    "Phrases",
    "Product",
    "Requirement",
    "ReturnCodes",
    "UnknownVersionError",
    "Words",
    "load_calendar",
    "load_checklist_items",
    "load_clocks",
    "load_papers",
    "load_phrases",
    "load_products",
    "load_return_codes",
    "product_of",
]
