"""`python -m services.review` serves; `migrate` updates the schema."""

from services.review.app import build
from shared.web.service import run

run("review", build)
