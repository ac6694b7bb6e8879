"""How each library signs a delivery and verifies one."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import standardwebhooks
import stripe
import svix.webhooks

class WrongSignature(Exception):
    """What the recipes without a library raise."""


def hex_of(secret: str, body: bytes) -> str:
    """What the schemes without a library are made of."""
    return hmac.new(secret.encode(), msg=body, digestmod=hashlib.sha256).hexdigest()


def signed(library: str, secret: str, number: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers of a delivery, made by the library."""
    text, moment = body.decode(), datetime.fromtimestamp(timestamp, timezone.utc)
    match library:
        case "standardwebhooks":
            signature = standardwebhooks.Webhook(secret).sign(number, moment, text)
            return {"webhook-id": number, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
        case "svix":
            signature = svix.webhooks.Webhook(secret).sign(number, moment, text)
            return {"webhook-id": number, "webhook-timestamp": str(timestamp), "webhook-signature": signature}
        case "stripe":
            header = stripe.WebhookSignature.generate_signature_header(text, secret, timestamp)
            return {"Stripe-Signature": header}
        case "github":
            return {"X-Hub-Signature-256": "sha256=" + hex_of(secret, body), "X-GitHub-Delivery": number}
        case "hex":
            return {"X-Webhook-Signature": hex_of(secret, body)}
    raise ValueError(library)


def verify(library: str, secret: str, headers: Mapping[str, str], body: bytes) -> Any:
    """The payload that the library takes out of a delivery, or its exception."""
    lower = {name.lower(): value for name, value in headers.items()}
    match library:
        case "standardwebhooks":
            return standardwebhooks.Webhook(secret).verify(body, dict(headers))
        case "svix":
            svix.webhooks.Webhook(secret).verify(body, dict(headers))
            return json.loads(body)
        case "stripe":
            event = stripe.Webhook.construct_event(body, lower.get("stripe-signature"), secret)
            return json.loads(str(event))
        case "github":
            expected, found = "sha256=" + hex_of(secret, body), lower.get("x-hub-signature-256", "")
        case "hex":
            expected = hex_of(secret, body)
            found = lower.get("x-webhook-signature", "").removeprefix("sha256=")
        case _:
            raise ValueError(library)
    if not hmac.compare_digest(expected, found):
        raise WrongSignature(f"{library}: the signature does not match")
    return json.loads(body)
