"""What the schema allows the server takes: a request that fits the document is refused only for what a schema cannot say."""
import re

import schemathesis

# Whether an object is there, whether it is the only one, rules over several members, reserved
# names, lengths in bytes, times that have passed.
FORESEEN = [re.compile(text) for text in (
    r"no [a-z-]+ of this name or id$",
    r"several [a-z-]+s have this name",
    r"^stands twice in the list$",
    r"bytes$",
    r"^is a header that the gateway itself sets$",
    r"^is a cloud's metadata address",
    r"^name (an agent or a team|a key, an agent)",
    r"^is the alias itself$",
    r"^grant a server, a service, models or a provider",
    r"^(is required with|only goes with) ",
    r"^is required$",  # of a secret in a new credential, of an url beside its transport
    r"^is required[:,] ",  # of an address that no vendor has, of a region that stands in one
    r"^is required where ",  # of a fault's provider
    r"^leads (back to this model|through too many models)",
    r"^must have one that is no shadow$",
    r"^must differ from `from`",
    r"^name a team, an agent or a key",
    r"^say status, hang or latency_ms",
    r"^must be at least 0\.001$|^has passed$| days ahead$",
    r"^has a star, and ",
    r"^must not have more than one star$",
    r"^must have at most \d+ parts$",
    r"^must rise from entry to entry$",
    r"^must be (certificates|a private key) in PEM$",
    r"^is not the key of the certificate$|^a key without a certificate$",
    r"^must begin with http: |^must not contain \":\"",
    r"stdio",
    r"^must be \"sha256\" where a digest",
    r"^has passed already$",
    r"^(no|another) entry has this (id|name)$",
    r"^(is|always has) (read-only|this name|not the agent's team)",
    r"^cannot be changed after creation$",
    r"^must be (an RFC 3339 time|a network like|an http or https URL)",
)]
TAKEN = {200, 201, 202, 204, 401, 404, 409, 412, 429}


@schemathesis.check
def what_fits_is_taken(ctx, response, case):
    if case.meta is None or not case.meta.generation.mode.is_positive or response.status_code in TAKEN:
        return
    problem = response.json() if response.content else {}
    details = [e["detail"] for e in problem.get("errors", [])]
    if response.status_code == 422 and details and all(any(p.search(d) for p in FORESEEN) for d in details):
        return
    if problem.get("code") == "not_json" and "out of range" in problem.get("detail", ""):
        return  # a number that no JSON reader has to keep (RFC 8259, section 6)
    if problem.get("code") in {"bad_cursor", "idempotency_key_reused"}:
        return
    if response.status_code == 400 and problem.get("detail", "").startswith(("?group_by=", "?from=", "?since=")):
        return  # which groups go together, which time comes first
    raise AssertionError(f"fits the document, and is refused with {response.status_code}: {response.text[:600]}")
