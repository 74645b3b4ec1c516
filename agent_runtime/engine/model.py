"""The model over the OpenAI chat API; the only importer of `openai`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from agent_runtime.errors import InvalidSetting, ModelRefused, ModelUnavailable

if TYPE_CHECKING:
    from openai import AsyncOpenAI


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One turn: what the chat API takes. `model` as agents name it ("openai/…")."""

    model: str
    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    response_format: Mapping[str, Any] | None = None


class Model(Protocol):
    """Answers one turn: {"message": assistant message, "usage": {…}, "model": name}.

    Raises ModelUnavailable for what may pass, ModelRefused for what will not.
    """

    async def complete(self, request: ModelRequest) -> dict[str, Any]: ...

    async def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Provider:
    """Where models of one prefix are reached."""

    key_setting: str
    api_key: str
    base_url: str | None


def preload() -> None:
    """Imports the client, which takes half a second, ahead of its first use; for a thread."""
    import openai.types.chat  # noqa: F401


class ChatModel:
    """The `openai` client, one a provider, created when first needed."""

    def __init__(self, providers: Mapping[str, Provider], default_model: str) -> None:
        self._providers = providers
        self._default_model = default_model
        self._clients: dict[str, AsyncOpenAI] = {}

    async def complete(self, request: ModelRequest) -> dict[str, Any]:
        import openai
        from openai.types.chat import ChatCompletion

        prefix, name = split_model(request.model or self._default_model)
        client = self._client(prefix)
        options: dict[str, Any] = {"messages": list(request.messages)}
        if request.tools:
            options["tools"] = list(request.tools)
        if request.response_format is not None:
            options["response_format"] = dict(request.response_format)
        try:
            completion = await client.chat.completions.create(model=name, **options)
        except (
            openai.APIConnectionError,
            openai.RateLimitError,
            openai.InternalServerError,
            openai.ConflictError,
        ) as error:
            raise ModelUnavailable(f"{prefix}: {_reason(error)}") from error
        except openai.APIError as error:
            raise ModelRefused(f"{prefix}: {_reason(error)}") from error
        if not isinstance(completion, ChatCompletion) or not completion.choices:
            raise ModelUnavailable(f"{prefix}: the answer is no chat completion; is the base URL that of a chat API?")
        message = completion.choices[0].message.model_dump(exclude_none=True, mode="json")
        said = {key: message[key] for key in ("role", "content", "refusal", "tool_calls") if message.get(key)}
        return {
            "message": said if "tool_calls" in said else {"content": "", **said},
            "usage": completion.usage.model_dump(exclude_none=True, mode="json") if completion.usage else {},
            "model": completion.model,
            "finish_reason": completion.choices[0].finish_reason,
        }

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()
        self._clients.clear()

    def _client(self, prefix: str) -> AsyncOpenAI:
        found = self._clients.get(prefix)
        if found is None:
            from openai import AsyncOpenAI

            provider = self._providers.get(prefix)
            if provider is None:
                known = ", ".join(f"{name}/…" for name in self._providers)
                raise ModelRefused(f"model {prefix}/…: no such provider; use {known}")
            if not provider.api_key:
                raise ModelRefused(f"{provider.key_setting} is not set, so {prefix}/… models cannot be reached")
            found = AsyncOpenAI(api_key=provider.api_key, base_url=provider.base_url, timeout=120, max_retries=2)
            self._clients[prefix] = found
        return found


def split_model(model: str) -> tuple[str, str]:
    """("openai", "gpt-4o-mini") for "openai/gpt-4o-mini"; a bare name is OpenAI's. Raises InvalidSetting for ""."""
    if not model:
        raise InvalidSetting("COUNTERSIGN_MODEL: no model is set; write openai/gpt-4o-mini")
    prefix, slash, name = model.partition("/")
    return (prefix, name) if slash else ("openai", model)


def _reason(error: Exception) -> str:
    """The service's words without the request (which holds people's data)."""
    status = getattr(error, "status_code", None)
    body = getattr(error, "body", None)
    said = body.get("message") if isinstance(body, dict) else None
    return " ".join(str(part) for part in (status, said or type(error).__name__) if part)
