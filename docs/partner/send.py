"""Hands in an application at the card office, sends what the office misses, and prints how it goes
on, until the case is with the reviewers (with --follow: until it has ended).

Needs `pip install confluent-kafka joserfc`, paper.pdf beside it, and what the bank gave you as
OFFICE_KAFKA, OFFICE_SECURITY, OFFICE_URL, PARTNER and PARTNER_PASSWORD in the environment."""

import json
import os
import random
import sys
import time
import urllib.request
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition
from joserfc import jwe
from joserfc.jwk import ECKey

PARTNER = os.environ["PARTNER"]
INBOUND, OUTBOUND = f"banka.inbound.{PARTNER}", f"banka.outbound.{PARTNER}"
KAFKA = {
    "bootstrap.servers": os.environ["OFFICE_KAFKA"],
    "security.protocol": os.environ["OFFICE_SECURITY"],
    "sasl.mechanism": "SCRAM-SHA-512",
    "sasl.username": PARTNER,
    "sasl.password": os.environ["PARTNER_PASSWORD"],
}
SECONDS = 60  # of silence
UNTIL = {"declined", "closed", "in-use"} | (set() if "--follow" in sys.argv else {"in-review"})


def office_key():
    """The first of the office's public keys is the one to use now."""
    with urllib.request.urlopen(os.environ["OFFICE_URL"] + "/intake/api/v1/keys") as answer:
        return json.load(answer)["keys"][0]


def seal(clear, key):
    """Encrypt text or bytes so that the office alone can read them."""
    clear = clear if isinstance(clear, bytes) else json.dumps(clear).encode()
    header = {"alg": "ECDH-ES", "enc": "A256GCM", "kid": key["kid"]}
    known = ECKey.import_key(key)
    return jwe.encrypt_compact(header, clear, known, algorithms=["ECDH-ES", "A256GCM"])


def made_up_person():
    """Nobody: the county 9999 does not exist. Born from 1980 to 1992: an ID card issued at 26 to 45
    is valid for the twenty years below. The last character is the check digit."""
    born = date(1980, 1, 1) + timedelta(days=random.randrange(4700))
    first = f"119999{born:%Y%m%d}{random.randrange(1000):03}"
    weights = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
    last = "10X98765432"[sum(int(d) * w for d, w in zip(first, weights, strict=True)) % 11]
    return {
        "name": "欧阳若轩",
        "salutation": "ms",
        "id_number": first + last,
        "id_issued": "2019-03-01",
        "id_expires": "2039-03-01",
        "nationality": "CHN",
        "mobile": "13900001234",
        "home_address": "北京市海淀区建设路18号3单元501室",
        "employer": "恒远科技有限公司",
        "occupation": "工程师",
        "work_address": "北京市朝阳区科技大道66号",
        "office_phone": "010-81234567",
        "monthly_income": "1500000",
    }


def send(producer, kind, reference, data):
    """Publish an event in binary mode; its id is what the answer will name."""
    event = str(uuid.uuid4())
    headers = {
        "ce_specversion": "1.0",
        "ce_id": event,
        "ce_type": kind,
        "ce_source": f"/partners/{PARTNER}",
        "ce_subject": reference,
        "ce_time": datetime.now(UTC).isoformat(),
        "content-type": "application/json",
    }
    body = json.dumps({"reference": reference, **data})
    producer.produce(INBOUND, body, reference, headers=headers)
    producer.flush()
    print("sent", kind, event)


def from_now_on():
    """A consumer of all that the office will say; a real partner's would belong to a group."""
    consumer = Consumer({**KAFKA, "group.id": f"{PARTNER}.guide", "enable.auto.commit": False})
    places = []
    for number in consumer.list_topics(OUTBOUND).topics[OUTBOUND].partitions:
        end = consumer.get_watermark_offsets(TopicPartition(OUTBOUND, number))[1]
        places.append(TopicPartition(OUTBOUND, number, end))
    consumer.assign(places)
    return consumer


def news(consumer, reference):
    """What the office says of this application: (type, time, data), each event once."""
    seen, end = set(), time.monotonic() + SECONDS
    while time.monotonic() < end:
        record = consumer.poll(1.0)
        if record is None or record.error():
            continue
        headers = {name: value.decode() for name, value in record.headers()}
        data = json.loads(record.value())
        if data.get("partner_reference") == reference and headers["ce_id"] not in seen:
            seen.add(headers["ce_id"])
            end = time.monotonic() + SECONDS
            yield headers["ce_type"], datetime.fromisoformat(headers["ce_time"]), data
    sys.exit(f"no news for {SECONDS} seconds")


def main():
    key, consumer = office_key(), from_now_on()
    producer = Producer({**KAFKA, "acks": "all", "message.max.bytes": 8_000_000})
    reference = f"guide-{uuid.uuid4()}"
    application = {
        "branch": "1101",
        "product": "standard",
        "applicant_type": "salaried",
        "parties": [{"role": "applicant", "personal": seal(made_up_person(), key)}],
        "consent": {"signed_at": "2026-10-12T01:30:00Z", "purpose": "信用卡审批"},
    }
    send(producer, "banka.partner-application.submitted.v1", reference, application)
    for kind, moment, data in news(consumer, reference):
        if kind == "banka.inbound.rejected.v1":
            for one in data["problems"]:
                print("rejected", one["pointer"] or "/", one["code"], one["detail"])
            sys.exit(1)
        if kind == "banka.inbound.accepted.v1":
            print("accepted", data["application_number"], data["state"])
            continue
        print("status", data["status"], data["deadline"] or "")
        for one in data["wanted"]:
            print("  wanted", one["item"], one["code"], one["field"] or "")
        if data["status"] == "material-wanted":
            paper = (Path(__file__).parent / "paper.pdf").read_bytes()
            bears = str((moment - timedelta(days=7)).date())  # the date on the paper
            items = {one["item"] for one in data["wanted"]}
            papers = [{"item": i, "issued_on": bears, "content": seal(paper, key)} for i in items]
            send(producer, "banka.partner-document.supplied.v1", reference, {"documents": papers})
        if data["status"] in UNTIL:
            return


main()
