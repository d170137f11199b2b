"""Whether the hub answers, and what its refusals mean. Its client's settings apply: `HF_ENDPOINT`, proxies, tokens."""

import threading
import urllib.request

TIMEOUT = 3.0
"""Seconds in which the hub must answer: without a network, a command ends within 5."""


def trouble(seconds: float = TIMEOUT) -> str | None:
    """Returns why the hub cannot be asked, as the end of a sentence; None if it answers.

    In a thread, because looking up a name can take longer than any time-out of a connection.
    """
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set, so that no hub is asked: unset it"
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(_asked(constants.ENDPOINT, seconds)), daemon=True)
    thread.start()
    thread.join(seconds)
    reason = found[0] if found else f"no answer within {seconds:g} s"
    if reason is None:
        return None
    proxies = ", ".join(sorted(set(urllib.request.getproxies().values())))
    through = f" through the proxy {proxies}" if proxies else ""
    return (
        f"the hub at {constants.ENDPOINT} cannot be reached{through} ({reason}): check the network, or set HF_ENDPOINT"
    )


def refusal(error: Exception, model: str, revision: str | None) -> str:
    """Returns what the client's error means, as the end of a sentence."""
    from huggingface_hub import constants
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RevisionNotFoundError

    chain: list[BaseException] = [error]
    while (cause := chain[-1].__cause__) is not None:
        chain.append(cause)
    kinds = {kind for one in chain for kind in type(one).__mro__}
    statuses = {getattr(getattr(one, "response", None), "status_code", None) for one in chain}
    if GatedRepoError in kinds:
        return f"its license is not accepted: accept it at {constants.ENDPOINT}/{model}, and set HF_TOKEN"
    if RevisionNotFoundError in kinds:
        return f"the hub at {constants.ENDPOINT} has no revision {revision!r} of it: check --revision"
    if statuses & {401, 404}:
        return f"the hub at {constants.ENDPOINT} has no such model, or a private one: check its name, or set HF_TOKEN"
    cause = next((one for one in chain if not isinstance(one, LocalEntryNotFoundError)), error)
    reason = str(cause).strip().split("\n")[0]
    return f"the hub at {constants.ENDPOINT} did not give it ({type(cause).__name__}: {reason}): try again"


def _asked(url: str, seconds: float) -> str | None:
    from huggingface_hub import get_session

    try:
        get_session().head(url, timeout=seconds)
    except Exception as error:  # its transport raises kinds of its own
        return " ".join(str(error).split()) or type(error).__name__
    return None
