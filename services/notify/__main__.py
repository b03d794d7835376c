"""`python -m services.notify` serves; `python -m services.notify migrate` updates the schema."""

from services.notify.app import build
from shared.web.service import run

run("notify", build)
