"""A span for each command, if the application uses OpenTelemetry. Nothing here imports it: who does not use it pays nothing."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Any, Dict, Iterator, Optional

from ._errors import CommandError, error_body, meant
from ._run import Run
from ._version import __version__


def find_spans() -> Optional[Spans]:
    """None unless the application, or what it was started with, has loaded OpenTelemetry by now."""
    if "opentelemetry.trace" not in sys.modules:
        return None
    try:
        return Spans()
    except ImportError:  # some part of it only
        return None


class Spans:
    """Named like the command, child of the span that the request's headers name."""

    def __init__(self) -> None:
        from opentelemetry import propagate, trace

        self._propagate = propagate
        self._trace = trace
        self._tracer = trace.get_tracer("bridgepool", __version__)

    @contextlib.contextmanager
    def around(self, run: Run) -> Iterator[None]:
        """Raises nothing of its own; what the command raises goes through."""
        parent = self._propagate.extract(_headers(run))
        options: Dict[str, Any] = dict(context=parent, kind=self._trace.SpanKind.CONSUMER, attributes=_attributes(run), record_exception=False, set_status_on_exception=False)
        with self._tracer.start_as_current_span(run.command.name, **options) as span:
            try:
                yield
            except BaseException as error:
                self._mark(span, run, error)
                raise
            finally:
                self._add_usage(span, run)

    def _mark(self, span: Any, run: Run, error: BaseException) -> None:
        body, is_meant = error_body(error), isinstance(meant(error), CommandError)
        if run.ended and not is_meant:
            body = {"code": run.ended, "message": run.ended}
        elif not is_meant:
            span.record_exception(error)
        span.set_attribute("error.type", body["code"])
        span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, body["message"]))

    def _add_usage(self, span: Any, run: Run) -> None:
        for name, value in ((run.ctx._usage if run.ctx is not None else None) or {}).items():
            span.set_attribute(f"bridgepool.usage.{name}", value)


def _headers(run: Run) -> Dict[str, str]:
    headers = run.meta.get("headers")
    return headers if isinstance(headers, dict) else {}


def _attributes(run: Run) -> Dict[str, Any]:
    """The names of OpenTelemetry's conventions for messaging, and ours."""
    source = run.meta.get("source")
    source = source if isinstance(source, dict) else {}
    partition = source.get("partition")
    named = {
        "messaging.system": "kafka",
        "messaging.operation.type": "process",
        "messaging.operation.name": "process",
        "messaging.destination.name": source.get("topic"),
        "messaging.destination.partition.id": str(partition) if partition is not None else None,
        "messaging.kafka.offset": source.get("offset"),
        "bridgepool.command": run.command.name,
        "bridgepool.request_id": run.meta.get("request_id"),
        "bridgepool.session_id": run.session.id if run.session is not None else None,
        "bridgepool.attempt": run.meta.get("attempt"),
        "bridgepool.pool": os.environ.get("BRIDGEPOOL_POOL"),
        "bridgepool.worker_id": os.environ.get("BRIDGEPOOL_WORKER_ID"),
    }
    return {name: value for name, value in named.items() if isinstance(value, (str, int))}
