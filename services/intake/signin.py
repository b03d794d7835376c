"""Signing in and out of all four services: intake keeps the passwords."""

from fastapi import APIRouter

from services.intake.accounts import Accounts
from shared.messaging import Service
from shared.web.sign_in import sign_in_router


def router(service: Service) -> APIRouter:
    """`/sign-in` and `/sign-out` over the service's accounts."""
    accounts = Accounts(service)
    return sign_in_router(accounts.verify, signed_out=accounts.signed_out)
