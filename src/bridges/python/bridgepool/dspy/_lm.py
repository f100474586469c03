"""Language models: which arguments a client may give, and what is the operator's alone."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Optional, Tuple

import dspy

from .._errors import CommandError

ALLOW = "BRIDGEPOOL_DSPY_ALLOW_LM_ARGS"
_PROVIDERS = {"google": "gemini", "vertex": "vertex_ai"}


def lm_args_allowed() -> bool:
    return os.environ.get(ALLOW, "") == "1"


def make_lm(model: str, provider: Optional[str], api_key: Optional[str], base_url: Optional[str], options: Dict[str, Any]) -> Any:
    """A dspy.LM. Keys and addresses decide where prompts and secrets go: they come from the environment unless it says otherwise."""
    for name, value in (("api_key", api_key), ("base_url", base_url)):
        if value is not None and not lm_args_allowed():
            raise CommandError(
                "lm_args_not_allowed",
                f"{name}: this pool takes keys and addresses from its environment only; leave it out, or let the operator set {ALLOW}=1",
                details={"field": name},
            )
    if provider is not None and not model.startswith(f"{_PROVIDERS.get(provider, provider)}/"):
        model = f"{_PROVIDERS.get(provider, provider)}/{model}"
    if "://" in model and not lm_args_allowed():
        raise CommandError("lm_args_not_allowed", "model: must be a model's name, not an address", details={"field": "model"})
    arguments = {name: value for name, value in options.items() if value is not None}
    if api_key is not None:
        arguments["api_key"] = api_key
    if base_url is not None:
        arguments["api_base"] = base_url
    try:
        return dspy.LM(model, **arguments)
    except Exception as error:
        raise CommandError("lm_not_configured", f"{model}: {type(error).__name__}: {error}") from None


def default_lm() -> Any:
    """The operator's: BRIDGEPOOL_DSPY_LM names it, BRIDGEPOOL_DSPY_API_BASE says where it is. None if there is none."""
    model = os.environ.get("BRIDGEPOOL_DSPY_LM")
    if not model:
        return None
    base = os.environ.get("BRIDGEPOOL_DSPY_API_BASE")
    return dspy.LM(model, **({"api_base": base} if base else {}))


def warm_up(lm: Any) -> None:
    """Loads now what the first call would load: LiteLLM takes seconds, and some models do without it."""
    try:
        from dspy.clients.backend_selection import select_backend

        if select_backend(lm).native:
            return
    except Exception:  # other versions of DSPy have no such choice, and dummy models no backend
        if not isinstance(lm, dspy.LM):
            return
    try:
        import litellm

        litellm.completion  # noqa: B018  it may be a lazy module
    except ImportError:
        pass


def metered(lm: Any) -> Tuple[Any, List[float]]:
    """The same model, and what its calls cost in US dollars, a number for each that DSPy can reckon from the prices it brings along.

    DSPy tells it only to its history: it is to be on for this model, which keeps nothing else of what it is told. What a provider
    says of the cost itself is among the usage. An answer from the cache has no usage, and costs nothing, whatever its entry says.
    Models that are no dspy.LM may keep what a copy would not share, and tell nothing.
    """
    costs: List[float] = []
    if not isinstance(lm, dspy.LM):
        return lm, costs

    def note(entry: Dict[str, Any]) -> None:
        cost, usage = entry.get("cost"), entry.get("usage") or {}
        if usage and isinstance(cost, (int, float)) and "cost" not in usage:
            costs.append(cost)

    lm = lm.copy()
    lm.update_history = note
    return lm, costs


def lm_failure(error: Exception) -> Exception:
    """The error to answer with: what may go away by itself is retriable, when the provider says so after how long.

    Of a group that holds one error, as task groups make them, it is that one.
    """
    while len(getattr(error, "exceptions", ())) == 1:
        error = error.exceptions[0]
    status = getattr(error, "status", None) or getattr(error, "status_code", None)
    name = type(error).__name__
    transient = name in ("LMTransportError", "LMTimeoutError", "LMRateLimitError", "LMServerError", "RateLimitError", "APIConnectionError", "ServiceUnavailableError", "InternalServerError", "Timeout")
    if not transient and status not in (408, 429, 500, 502, 503, 504):
        return error
    after = getattr(error, "retry_after", None)
    return CommandError(name, str(error), retriable=True, retry_after=after if isinstance(after, (int, float)) else None, details={"status": status} if status else None)
