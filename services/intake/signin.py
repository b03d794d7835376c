"""Signing in and out of all four services: intake keeps the staff and their passwords."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter

from services.intake.accounts import Accounts
from shared.messaging import Service
from shared.web.oidc import IdentityProvider
from shared.web.sign_in import AtProvider, sign_in_router


def router(service: Service, provider: IdentityProvider | None) -> APIRouter:
    """`/sign-in` and `/sign-out` over the service's accounts, and the bank's provider if it has
    one."""
    accounts = Accounts(service)
    at_provider = None
    if provider is not None:
        find = partial(accounts.vouched_for, provider.settings.claim_is)
        at_provider = AtProvider(provider, find)
    return sign_in_router(
        accounts.verify,
        signed_out=accounts.signed_out,
        began=accounts.began,
        at_provider=at_provider,
    )
