"""Which event is said where, by whom, and who listens: the one table behind topics, rights,
AsyncAPI and tests."""

import inspect
from dataclasses import dataclass

from shared.events import intake, notify, partners, reporting, review
from shared.events.payload import Payload

SERVICES = ("intake", "review", "notify", "reporting")
PARTITIONS = 24  # at the first deployment; growing later is a stop, a drain and a move
_DAY_MS = 86_400_000
FOREVER = -1
# Of a record on any topic; Kafka's own default is 1 MiB, and a partner's ten papers are more.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024
PARTNER = "<partner>"


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as everybody sees it.

    `publisher` and `consumers` are services, or the word `partner`; `subject` says what the key and
    the CloudEvents subject name; `partitions` of None means the deployment's number; `retention_ms`
    of -1 keeps for ever, because our own topics are what read models are rebuilt from.
    """

    name: str
    meaning: str
    publisher: str
    consumers: tuple[str, ...]
    subject: str
    payloads: tuple[type[Payload], ...]
    partitions: int | None = None
    retention_ms: int = FOREVER

    def for_partner(self, partner: str) -> str:
        """The topic's name for one partner."""
        return self.name.replace(PARTNER, partner)


@dataclass(frozen=True, slots=True)
class Partner:
    """A system outside the office that publishes events to us. `sends` are the only types it may
    send."""

    name: str
    meaning: str
    sends: tuple[type[partners.PartnerEvent], ...]
    receives: tuple[type[Payload], ...]


def _payloads(module: object, topic: str) -> tuple[type[Payload], ...]:
    """The payloads of a publisher's file that go to a topic, in the order of the file."""
    return tuple(
        member
        for member in vars(module).values()
        if inspect.isclass(member)
        and issubclass(member, Payload)
        and member.__module__ == module.__name__  # type: ignore[attr-defined]
        and "type" in vars(member)
        and member.topic == topic
    )


TOPICS: tuple[Topic, ...] = (
    Topic(
        name="banka.applications",
        meaning="The life of every application: what intake and review did to it, and the card.",
        publisher="intake, review",
        consumers=("intake", "review", "notify", "reporting"),
        subject="application id",
        payloads=(
            *_payloads(intake, "banka.applications"),
            *_payloads(review, "banka.applications"),
        ),
    ),
    Topic(
        name="banka.accounts",
        meaning="How cards' accounts stand, month by month, and which cards their holders have.",
        publisher="intake",
        consumers=("review",),
        subject="application id",
        payloads=_payloads(intake, "banka.accounts"),
    ),
    Topic(
        name="banka.watchlists",
        meaning="That a list of the bank's screening system changed; nothing of what is in it.",
        publisher="intake",
        consumers=("review",),
        subject="list name",
        payloads=_payloads(intake, "banka.watchlists"),
        partitions=1,
    ),
    Topic(
        name="banka.review",
        meaning="How review came to its decisions; a record for audit that no other service reads.",
        publisher="review",
        consumers=(),
        subject="application id",
        payloads=_payloads(review, "banka.review"),
    ),
    Topic(
        name="banka.contacts",
        meaning="What became of every message to a customer.",
        publisher="notify",
        consumers=("reporting",),
        subject="application id",
        payloads=_payloads(notify, "banka.contacts"),
    ),
    Topic(
        name="banka.cases",
        meaning="Applications that nobody has moved for too long.",
        publisher="reporting",
        consumers=("reporting",),
        subject="application id",
        payloads=_payloads(reporting, "banka.cases"),
    ),
    Topic(
        name="banka.reference",
        meaning="The organisation: branches and staff, as whole states; sessions that were ended.",
        publisher="intake",
        consumers=("intake", "review", "notify", "reporting"),
        subject="branch or staff id",
        payloads=_payloads(intake, "banka.reference"),
        partitions=1,
    ),
    Topic(
        name="banka.inbound.<partner>",
        meaning="What a partner tells us or asks of us.",
        publisher="partner",
        consumers=("intake",),
        subject="the partner's own reference",
        payloads=_payloads(partners, "banka.inbound.<partner>"),
        retention_ms=7 * _DAY_MS,
    ),
    Topic(
        name="banka.outbound.<partner>",
        meaning="Our answer to each event of a partner, and the progress that it may know.",
        publisher="intake",
        consumers=("partner",),
        subject="the partner's own reference",
        payloads=_payloads(intake, "banka.outbound.<partner>"),
    ),
)

_CARD_FACTS = (
    partners.PartnerCardProduced,
    partners.PartnerCardPosted,
    partners.PartnerCardDelivered,
)
_ANSWERS = (intake.InboundAccepted, intake.InboundRejected)

PARTNERS: tuple[Partner, ...] = (
    Partner(
        name="mobile-app",
        meaning="The bank's app, which sends customers' applications, papers and objections.",
        sends=(
            partners.PartnerApplicationSubmitted,
            partners.PartnerDocumentSupplied,
            partners.PartnerFieldsCorrected,
            partners.PartnerWithdrawalRequested,
            partners.PartnerAppealRequested,
            partners.PartnerDisputeRequested,
        ),
        receives=(*_ANSWERS, intake.InboundKept, intake.ApplicationStatusChanged),
    ),
    Partner(
        name="card-factory",
        meaning="Makes the cards and hands them to the post.",
        sends=_CARD_FACTS,
        receives=(*_ANSWERS, intake.CardOrderRequested),
    ),
    Partner(
        name="core-banking",
        meaning="Keeps the accounts; knows when a card is activated and used, and how it is used.",
        sends=(
            partners.PartnerCardActivated,
            partners.PartnerCardFirstUsed,
            partners.PartnerPerformanceReported,
            partners.PartnerHoldingReported,
        ),
        receives=(*_ANSWERS, intake.CardOrderRequested, intake.CardLimitChanged),
    ),
    Partner(
        name="screening",
        meaning="Searches watchlists for applicants; tells when one of its lists has changed.",
        sends=(partners.PartnerWatchlistChanged,),
        receives=(intake.InboundNoted, intake.InboundRejected),
    ),
)

EVENTS: dict[str, type[Payload]] = {
    payload.type: payload for topic in TOPICS for payload in topic.payloads
}
"""Every event type that exists, by its CloudEvents type."""


@dataclass(frozen=True, slots=True)
class DeployedTopic:
    """A topic that really exists on a broker: partners' names are filled in. Writers and readers
    are Kafka users."""

    name: str
    partitions: int
    retention_ms: int
    writers: tuple[str, ...]
    readers: tuple[str, ...]

    @property
    def holds_dead_letters(self) -> bool:
        """Copies of what a consumer could not apply, for operators' eyes; no service reads them."""
        return self.name.endswith(_DEAD_LETTERS)


_DEAD_LETTERS = ".dead-letters"


def group(service: str, topic: str) -> str:
    """The consumer group in which a service reads a topic: `review.applications`,
    `intake.inbound.mobile-app`."""
    return f"{service}.{topic.removeprefix('banka.')}"


def deployed_topics(partitions: int = PARTITIONS) -> list[DeployedTopic]:
    """Every topic to make on a broker, dead letters included.

    `partitions` is the deployment's number for topics that do not fix their own; at least 1.
    """
    deployed: list[DeployedTopic] = []
    for topic in TOPICS:
        for partner in PARTNERS if PARTNER in topic.name else (None,):
            people = {"partner": partner.name if partner else "partner"}
            deployed.append(
                DeployedTopic(
                    name=topic.for_partner(partner.name) if partner else topic.name,
                    partitions=topic.partitions or partitions,
                    retention_ms=topic.retention_ms,
                    writers=tuple(people.get(name, name) for name in topic.publisher.split(", ")),
                    readers=tuple(people.get(name, name) for name in topic.consumers),
                )
            )
    return deployed + [
        DeployedTopic(f"{group(service, topic.name)}{_DEAD_LETTERS}", 1, FOREVER, (service,), ())
        for topic in deployed
        for service in topic.readers
        if service in SERVICES
    ]


def publisher(payload: type[Payload]) -> str:
    """The service that says this event, whose file it lies in; `partner` for what partners send."""
    name = payload.__module__.rpartition(".")[2]
    return name if name in SERVICES else "partner"


def source(service: str) -> str:
    """The CloudEvents source of a service or partner."""
    return f"/banka/{service}"


def partner_source(partner: str) -> str:
    """The CloudEvents source that a partner's events must carry."""
    return f"/partners/{partner}"
