"""The fake engine's `/v1/responses`: events are numbered and repeat the whole text, so they are rendered one by one."""

import msgspec

from libs.testkit.fake_answers import Call

_encode = msgspec.json.encode


def _text_part(text: str, logprobs: list[str] | None) -> dict[str, object]:
    return {"annotations": [], "text": text, "type": "output_text", "logprobs": logprobs}


def _item(call: Call, content: list[dict[str, object]], status: str) -> dict[str, object]:
    item: dict[str, object] = {"id": f"msg_{call.id[:16]}", "content": content, "role": "assistant", "status": status}
    return item | {"type": "message", "phase": None}


def _response(call: Call, text: str | None) -> dict[str, object]:
    """The response object; `text` is None while it is in progress."""
    done = text is not None
    count = len(call.tokens)
    usage = {
        "input_tokens": call.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": 0,
            "cache_write_tokens": 0,
            "input_tokens_per_turn": [],
            "cached_tokens_per_turn": [],
        },
        "output_tokens": count,
        "output_tokens_details": {
            "reasoning_tokens": 0,
            "tool_output_tokens": 0,
            "output_tokens_per_turn": [],
            "tool_output_tokens_per_turn": [],
        },
        "total_tokens": call.prompt_tokens + count,
    }
    return {
        "id": f"resp_{call.id}",
        "created_at": call.created_s,
        "incomplete_details": {"reason": "max_output_tokens"} if done else None,
        "instructions": None,
        "metadata": None,
        "model": call.model,
        "object": "response",
        "output": [_item(call, [_text_part(text, None)], "completed")] if text is not None else [],
        "parallel_tool_calls": True,
        "temperature": 0.0,
        "tool_choice": "none",
        "tools": [],
        "top_p": 1.0,
        "background": False,
        "max_output_tokens": count,
        "max_tool_calls": None,
        "previous_response_id": None,
        "prompt": None,
        "reasoning": None,
        "service_tier": "auto",
        "status": "incomplete" if done else "in_progress",
        "text": None,
        "top_logprobs": None,
        "truncation": "disabled",
        "usage": usage if done else None,
        "user": None,
        "presence_penalty": 0.0,
        "frequency_penalty": 0.0,
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "input_messages": None,
        "output_messages": None,
    }


def _text_of(call: Call) -> str:
    return str(msgspec.json.decode(b'"%b"' % b"".join(call.tokens)))


class _Events:
    """Numbers and frames events."""

    def __init__(self) -> None:
        self._sequence = 0

    def add(self, kind: str, fields: dict[str, object]) -> bytes:
        body = _encode(fields | {"sequence_number": self._sequence, "type": kind})
        self._sequence += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), body)


def responses_full(call: Call) -> bytes:
    """`/v1/responses` in one piece."""
    return _encode(_response(call, _text_of(call)))


def responses_steps(call: Call) -> list[bytes]:
    """`/v1/responses`, streamed: what each engine step adds."""
    events, text = _Events(), _text_of(call)
    item = f"msg_{call.id[:16]}"
    where: dict[str, object] = {"item_id": item, "output_index": 0}
    opening = b"".join(
        (
            events.add("response.created", {"response": _response(call, None)}),
            events.add("response.in_progress", {"response": _response(call, None)}),
            events.add("response.output_item.added", {"item": _item(call, [], "in_progress"), "output_index": 0}),
            events.add("response.content_part.added", {"content_index": 0, **where, "part": _text_part("", [])}),
        )
    )
    steps = [
        events.add(
            "response.output_text.delta",
            {
                "content_index": 0,
                "delta": msgspec.json.decode(b'"%b"' % token),
                "item_id": item,
                "logprobs": [],
                "output_index": 0,
            },
        )
        for token in call.tokens
    ]
    steps[0] = opening + steps[0]
    done = {"content_index": 0, "item_id": item, "logprobs": [], "output_index": 0}
    body = events.add("response.output_text.done", done)
    # The engine puts `text` between the number and the type.
    body = body.replace(b',"type":"response', b',"text":%b,"type":"response' % _encode(text))
    steps[-1] += b"".join(
        (
            body,
            events.add("response.content_part.done", {"content_index": 0, **where, "part": _text_part(text, None)}),
            events.add(
                "response.output_item.done",
                {"item": _item(call, [_text_part(text, None)], "completed"), "output_index": 0},
            ),
            events.add("response.completed", {"response": _response(call, text)}),
        )
    )
    return steps
