"""`python -m services.reporting` serves; `migrate` updates the schema; `report --manifest ID
--verify` makes an archived report again and compares the bytes."""

import sys

from services.reporting.app import build
from services.reporting.verification import main
from shared.web.service import run

if sys.argv[1:2] == ["report"]:
    sys.exit(main(sys.argv[2:]))
run("reporting", build)
