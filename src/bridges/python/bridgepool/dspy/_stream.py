"""Parts of a program's outputs while the language model still writes, by DSPy's streamify."""

from __future__ import annotations

from typing import Any, Dict

import dspy

from .._context import Context
from .._errors import CommandError
from ._programs import Program


async def stream(program: Program, arguments: Dict[str, Any], ctx: Context) -> Any:
    """The prediction. Each piece of an output that is text goes ahead as a part {"field": its name, "text": what came}.

    Of an answer that does not fit the signature DSPy asks for no second one, in another format, as it does where nothing was sent.
    Where it cannot tell the fields apart there are no parts: outputs of other types, an answer from its cache, one that came whole.
    """
    names = {**{field.attribute: field.name for field in program.spec.outputs.values() if field.type is str}, **program.reasoning()}
    listeners = [dspy.streaming.StreamListener(signature_field_name=attribute) for attribute in names]
    if not listeners:
        return await program.module.acall(**arguments)
    prediction, refused = None, None
    async for piece in dspy.streamify(program.module, stream_listeners=listeners, is_async_program=True)(**arguments):
        # Nothing leaves this loop: a stream that is not at its end is closed by another task, which its task group does not allow.
        # So nothing is awaited in it either, and a cancel meets the stream itself; what is sent is bounded by what a model answers.
        if isinstance(piece, dspy.Prediction):
            prediction = piece
        elif isinstance(piece, dspy.streaming.StreamResponse) and piece.chunk and refused is None:
            try:
                ctx.partial({"field": names[piece.signature_field_name], "text": piece.chunk})
            except CommandError as error:
                refused = error
    if refused is not None:
        raise refused
    return prediction
