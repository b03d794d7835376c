"""Pages, permissions, sign-in and words that all services share; what page authors import.

from shared.web import Permission, Viewer, page, redirect, requires
"""

from shared.web.access import public, requires, routes_without_permission
from shared.web.pages import page, redirect
from shared.web.permissions import Permission, Role, Scope, Viewer
from shared.web.problems import FieldError, Problem

__all__ = [
    "FieldError",
    "Permission",
    "Problem",
    "Role",
    "Scope",
    "Viewer",
    "page",
    "public",
    "redirect",
    "requires",
    "routes_without_permission",
]
