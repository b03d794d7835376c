"""The contracts between the services: envelope, payloads, catalogue and lifecycle.

This package knows no broker, no database and no service. What a publisher may say is one file per
publisher (`intake`, `review`, `notify`, `reporting`, and `partners` for what comes from outside);
where it is said and who listens is `catalog`; what it does to an application is `lifecycle`.
"""
