"""The Python clients of the matrix (clients.test.mjs): reads scenarios from stdin, one a line, as JSON, and says how each
went, one line each. A client is a class with a method for each scenario of tests/e2e/matrix/kit.mjs."""

import base64
import json
import os
import sys

os.environ["LANGSMITH_TRACING"] = "false"

import anthropic
import openai
from google import genai
from google.genai import errors, types

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_openai import ChatOpenAI
from openai.types.chat import ChatCompletion

CITIES = [{"city": "Paris"}, {"city": "Oslo"}]
REPORT = {"city": "Paris", "degrees": 21}


class Client:
    """What a scenario wants of any client. A subclass asks, plain and streamed, and reads what came."""

    def __init__(self, t):
        self.t, self.said, self.usage = t, t["said"], t["usage"]
        self.weather, self.report, self.picture = t["weather"], t["report"], t["picture"]
        self.open()

    def words(self, name):
        return "".join(self.said[name])

    def counts(self):
        return self.usage["fresh"] + self.usage["cached"], self.usage["output"]

    def fails(self, act, kind):
        try:
            act()
        except kind as e:
            return e
        raise AssertionError("it was not refused")

    def told(self, error, so_far):
        assert self.said["overloaded"] in str(error), error
        assert so_far == self.said["text"][0], so_far


class Anthropic(Client):
    refusal = anthropic.APIStatusError

    def open(self):
        self.client = anthropic.Anthropic(api_key=self.t["key"], base_url=self.t["url"], max_retries=0)
        self.body = {
            "model": self.t["model"],
            "max_tokens": 4096,
            "system": self.said["system"],
            "messages": [{"role": "user", "content": "Hello"}],
        }
        self.ways = (self.plain, self.streamed)

    def plain(self, **more):
        return self.client.messages.create(**{**self.body, **more})

    def streamed(self, **more):
        with self.client.messages.stream(**{**self.body, **more}) as stream:
            return stream.get_final_message()

    @staticmethod
    def text_of(message):
        return "".join(b.text for b in message.content if b.type == "text")

    def check(self, message):
        assert self.text_of(message) == self.words("text"), message
        assert message.stop_reason == "end_turn", message
        assert message.usage.input_tokens == self.usage["fresh"], message.usage
        assert message.usage.cache_read_input_tokens == self.usage["cached"], message.usage
        assert message.usage.output_tokens == self.usage["output"], message.usage

    def text(self):
        self.check(self.plain())

    def stream(self):
        with self.client.messages.stream(**self.body) as stream:
            assert list(stream.text_stream) == self.said["text"]
            self.check(stream.get_final_message())

    def tools(self, wanted=1):
        tools = [{"name": self.weather["name"], "description": "w", "input_schema": self.weather["schema"]}]
        for ask in self.ways:
            first = ask(tools=tools)
            calls = [b for b in first.content if b.type == "tool_use"]
            assert first.stop_reason == "tool_use", first
            assert [c.input for c in calls] == CITIES[:wanted], calls
            results = [
                {"type": "tool_result", "tool_use_id": c.id, "content": r} for c, r in zip(calls, self.said["results"])
            ]
            messages = self.body["messages"] + [
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": results},
            ]
            assert self.text_of(ask(tools=tools, messages=messages)) == self.words("answer")

    def parallel(self):
        self.tools(2)

    def image(self):
        source = {"type": "base64", "media_type": "image/png", "data": self.picture}
        content = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
        for ask in self.ways:
            assert self.text_of(ask(messages=[{"role": "user", "content": content}])) == self.words("text")

    def schema(self):
        config = {"format": {"type": "json_schema", "schema": self.report["schema"]}}
        for ask in self.ways:
            assert json.loads(self.text_of(ask(output_config=config))) == REPORT

    def reasoning(self):
        for ask in self.ways:
            message = ask(thinking={"type": "enabled", "budget_tokens": 2048})
            assert message.content[0].type == "thinking", message
            assert message.content[0].thinking == self.words("reasoning")
            assert self.text_of(message) == self.words("text")

    def error(self):
        e = self.fails(self.plain, anthropic.RateLimitError)
        assert e.response.headers["retry-after"] == "1", e.response.headers

    def broken(self):
        so_far = []

        def read():
            for event in self.client.messages.create(**self.body, stream=True):
                assert event.type != "message_stop"
                if event.type == "content_block_delta":
                    so_far.append(event.delta.text)

        self.told(self.fails(read, anthropic.APIError), "".join(so_far))

    def abort(self):
        with self.client.messages.create(**self.body, stream=True) as stream:
            next(e for e in stream if e.type == "content_block_delta")


class OpenAIChat(Client):
    refusal = openai.APIStatusError

    def open(self):
        self.client = openai.OpenAI(api_key=self.t["key"], base_url=self.t["url"] + "/v1", max_retries=0)
        self.body = {
            "model": self.t["model"],
            "messages": [{"role": "system", "content": self.said["system"]}, {"role": "user", "content": "Hello"}],
        }
        self.ways = (self.plain, self.streamed)

    def plain(self, **more):
        return self.client.chat.completions.create(**{**self.body, **more})

    def streamed(self, **more):
        with self.client.chat.completions.stream(**{**self.body, **more}) as stream:
            return stream.get_final_completion()

    def check(self, usage):
        prompt, output = self.counts()
        assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (prompt, output, prompt + output), usage
        cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else 0
        assert (cached or 0) == self.usage["cached"], usage

    def text(self):
        got = self.plain()
        assert got.choices[0].message.content == self.words("text"), got
        assert got.choices[0].finish_reason == "stop", got
        self.check(got.usage)

    def stream(self):
        pieces, finish, last = [], None, None
        for chunk in self.plain(stream=True, stream_options={"include_usage": True}):
            for c in chunk.choices:
                pieces += [c.delta.content] if c.delta.content else []
                finish = c.finish_reason or finish
            last = chunk
        assert pieces == self.said["text"], pieces
        assert finish == "stop", finish
        self.check(last.usage)

    # The helper reads the arguments of a call as soon as the next one begins, which servers other than OpenAI's own do
    # in between: applications put them together by their index.
    def gathered(self, **more):
        calls, text, finish = {}, "", None
        for chunk in self.plain(stream=True, **more):
            for c in chunk.choices:
                text += c.delta.content or ""
                finish = c.finish_reason or finish
                for d in c.delta.tool_calls or []:
                    call = calls.setdefault(d.index, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
                    call["id"] += d.id or ""
                    call["function"]["name"] += d.function.name or ""
                    call["function"]["arguments"] += d.function.arguments or ""
        message = {"role": "assistant", "content": text or None, "tool_calls": list(calls.values()) or None}
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        return ChatCompletion.model_validate(
            {"id": "x", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
        )

    def tools(self, wanted=1):
        function = {"name": self.weather["name"], "description": "w", "parameters": self.weather["schema"], "strict": True}
        tools = [{"type": "function", "function": function}]
        for ask in (self.plain, self.streamed if wanted == 1 else self.gathered):
            choice = ask(tools=tools).choices[0]
            calls = choice.message.tool_calls
            assert choice.finish_reason == "tool_calls", choice
            assert [json.loads(c.function.arguments) for c in calls] == CITIES[:wanted], calls
            made = [
                {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
                for c in calls
            ]
            results = [{"role": "tool", "tool_call_id": c.id, "content": r} for c, r in zip(calls, self.said["results"])]
            said = {"role": "assistant", "content": choice.message.content, "tool_calls": made}
            last = ask(tools=tools, messages=self.body["messages"] + [said] + results).choices[0]
            assert last.message.content == self.words("answer"), last
            assert last.finish_reason == "stop", last

    def parallel(self):
        self.tools(2)

    def image(self):
        url = {"url": "data:image/png;base64," + self.picture}
        content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": url}]
        messages = [self.body["messages"][0], {"role": "user", "content": content}]
        for ask in self.ways:
            assert ask(messages=messages).choices[0].message.content == self.words("text")

    def schema(self):
        form = {"name": self.report["name"], "schema": self.report["schema"], "strict": True}
        for ask in self.ways:
            got = ask(response_format={"type": "json_schema", "json_schema": form})
            assert json.loads(got.choices[0].message.content) == REPORT, got

    def reasoning(self):
        for ask in self.ways:
            message = ask(reasoning_effort="medium").choices[0].message
            assert message.content == self.words("text"), message
        assert self.plain(reasoning_effort="medium").choices[0].message.reasoning_content == self.words("reasoning")

    def error(self):
        e = self.fails(self.plain, openai.RateLimitError)
        assert e.response.headers["retry-after"] == "1", e.response.headers

    def broken(self):
        so_far = []

        def read():
            for chunk in self.plain(stream=True):
                for c in chunk.choices:
                    assert c.finish_reason is None, c
                    so_far.append(c.delta.content or "")

        self.told(self.fails(read, openai.APIError), "".join(so_far))

    def abort(self):
        with self.plain(stream=True) as stream:
            next(c for c in stream if c.choices and c.choices[0].delta.content)


class AzureChat(OpenAIChat):
    """The deployment is the model, whatever the call names."""

    def open(self):
        super().open()
        self.client = openai.AzureOpenAI(
            api_key=self.t["key"],
            azure_endpoint=self.t["url"],
            azure_deployment=self.t["model"],
            api_version="2024-10-21",
            max_retries=0,
        )
        self.body["model"] = "gpt-4o"


class OpenAIResponses(Client):
    refusal = openai.APIStatusError

    def open(self):
        self.client = openai.OpenAI(api_key=self.t["key"], base_url=self.t["url"] + "/v1", max_retries=0)
        self.body = {
            "model": self.t["model"],
            "instructions": self.said["system"],
            "input": [{"role": "user", "content": "Hello"}],
            "store": False,
        }
        self.ways = (self.plain, self.streamed)

    def plain(self, **more):
        return self.client.responses.create(**{**self.body, **more})

    def streamed(self, **more):
        with self.client.responses.stream(**{**self.body, **more}) as stream:
            return stream.get_final_response()

    def check(self, got):
        prompt, output = self.counts()
        assert got.output_text == self.words("text"), got
        assert got.status == "completed", got
        assert (got.usage.input_tokens, got.usage.output_tokens, got.usage.total_tokens) == (prompt, output, prompt + output), got
        assert got.usage.input_tokens_details.cached_tokens == self.usage["cached"], got

    def text(self):
        self.check(self.plain())

    def stream(self):
        with self.client.responses.stream(**self.body) as stream:
            pieces = [e.delta for e in stream if e.type == "response.output_text.delta"]
            assert pieces == self.said["text"], pieces
            self.check(stream.get_final_response())

    def tools(self, wanted=1):
        tools = [
            {"type": "function", "name": self.weather["name"], "description": "w", "parameters": self.weather["schema"], "strict": True}
        ]
        for ask in self.ways:
            got = ask(tools=tools)
            calls = [i for i in got.output if i.type == "function_call"]
            assert [json.loads(c.arguments) for c in calls] == CITIES[:wanted], calls
            made = [
                {"type": "function_call", "call_id": c.call_id, "name": c.name, "arguments": c.arguments} for c in calls
            ]
            results = [
                {"type": "function_call_output", "call_id": c.call_id, "output": r}
                for c, r in zip(calls, self.said["results"])
            ]
            assert ask(tools=tools, input=self.body["input"] + made + results).output_text == self.words("answer")

    def parallel(self):
        self.tools(2)

    def image(self):
        content = [
            {"type": "input_text", "text": "What is it?"},
            {"type": "input_image", "image_url": "data:image/png;base64," + self.picture, "detail": "auto"},
        ]
        for ask in self.ways:
            assert ask(input=[{"role": "user", "content": content}]).output_text == self.words("text")

    def schema(self):
        form = {"type": "json_schema", "name": self.report["name"], "schema": self.report["schema"], "strict": True}
        for ask in self.ways:
            assert json.loads(ask(text={"format": form}).output_text) == REPORT

    def reasoning(self):
        for ask in self.ways:
            got = ask(reasoning={"effort": "medium", "summary": "auto"}, include=["reasoning.encrypted_content"])
            item = next(i for i in got.output if i.type == "reasoning")
            assert "".join(s.text for s in item.summary) == self.words("reasoning"), item
            assert got.output_text == self.words("text"), got

    def error(self):
        e = self.fails(self.plain, openai.RateLimitError)
        assert e.response.headers["retry-after"] == "1", e.response.headers

    def broken(self):
        so_far = []

        def read():
            for e in self.plain(stream=True):
                assert e.type not in ("response.completed", "response.incomplete"), e
                if e.type == "response.output_text.delta":
                    so_far.append(e.delta)
                if e.type == "error":
                    raise openai.APIError(e.message, request=None, body=None)

        self.told(self.fails(read, openai.APIError), "".join(so_far))

    def abort(self):
        with self.plain(stream=True) as stream:
            next(e for e in stream if e.type == "response.output_text.delta")


class Gemini(Client):
    refusal = errors.APIError

    def open(self):
        self.models = genai.Client(api_key=self.t["key"], http_options={"base_url": self.t["url"]})
        self.contents = [types.Content(role="user", parts=[types.Part(text="Hello")])]
        self.ways = (self.plain, self.streamed)

    def request(self, contents=None, **config):
        config = types.GenerateContentConfig(
            system_instruction=self.said["system"],
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
            **config,
        )
        return {"model": self.t["model"], "contents": contents or self.contents, "config": config}

    def plain(self, **more):
        got = self.models.models.generate_content(**self.request(**more))
        candidate = got.candidates[0]
        return candidate.content.parts, candidate.finish_reason, got.usage_metadata

    def streamed(self, **more):
        parts, finish, usage = [], None, None
        for chunk in self.models.models.generate_content_stream(**self.request(**more)):
            for c in chunk.candidates or []:
                parts += (c.content and c.content.parts) or []
                finish = c.finish_reason or finish
            usage = chunk.usage_metadata or usage
        return parts, finish, usage

    @staticmethod
    def text_of(parts, thought=False):
        return "".join(p.text or "" for p in parts if bool(p.thought) == thought)

    def check(self, got):
        parts, finish, usage = got
        prompt, output = self.counts()
        assert self.text_of(parts) == self.words("text"), parts
        assert finish == types.FinishReason.STOP, finish
        assert (usage.prompt_token_count, usage.total_token_count) == (prompt, prompt + output), usage
        assert (usage.cached_content_token_count or 0) == self.usage["cached"], usage
        assert usage.candidates_token_count + (usage.thoughts_token_count or 0) == output, usage

    def text(self):
        self.check(self.plain())

    def stream(self):
        got = self.streamed()
        assert [p.text for p in got[0] if p.text] == self.said["text"], got
        self.check(got)

    def tools(self, wanted=1):
        declared = types.FunctionDeclaration(
            name=self.weather["name"], description="w", parameters_json_schema=self.weather["schema"]
        )
        tools = [types.Tool(function_declarations=[declared])]
        for ask in self.ways:
            parts, finish, _ = ask(tools=tools)
            calls = [p for p in parts if p.function_call]
            assert [p.function_call.args for p in calls] == CITIES[:wanted], calls
            results = [
                types.Part(
                    function_response=types.FunctionResponse(
                        id=p.function_call.id, name=p.function_call.name, response={"output": r}
                    )
                )
                for p, r in zip(calls, self.said["results"])
            ]
            contents = self.contents + [types.Content(role="model", parts=calls), types.Content(role="user", parts=results)]
            parts, finish, _ = ask(tools=tools, contents=contents)
            assert self.text_of(parts) == self.words("answer"), parts

    def parallel(self):
        self.tools(2)

    def image(self):
        data = types.Part.from_bytes(data=base64.b64decode(self.picture), mime_type="image/png")
        contents = [types.Content(role="user", parts=[data, types.Part(text="What is it?")])]
        for ask in self.ways:
            assert self.text_of(ask(contents=contents)[0]) == self.words("text")

    def schema(self):
        for ask in self.ways:
            parts, _, _ = ask(response_mime_type="application/json", response_json_schema=self.report["schema"])
            assert json.loads(self.text_of(parts)) == REPORT, parts

    def reasoning(self):
        thinking = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
        for ask in self.ways:
            parts, _, usage = ask(thinking_config=thinking, max_output_tokens=8192)
            assert self.text_of(parts, thought=True) == self.words("reasoning"), parts
            assert self.text_of(parts) == self.words("text"), parts
            assert usage.total_token_count == sum(self.counts()), usage

    def error(self):
        e = self.fails(self.plain, errors.ClientError)
        assert (e.code, e.status) == (429, "RESOURCE_EXHAUSTED"), e

    def broken(self):
        so_far = []

        def read():
            for chunk in self.models.models.generate_content_stream(**self.request()):
                assert not chunk.candidates[0].finish_reason, chunk
                so_far.append(chunk.text or "")

        self.told(self.fails(read, errors.APIError), "".join(so_far))

    def abort(self):
        stream = self.models.models.generate_content_stream(**self.request())
        next(c for c in stream if c.text)
        stream.close()


class LangChain(Client):
    refusal = openai.APIStatusError
    responses = False

    def open(self):
        self.model = ChatOpenAI(
            model=self.t["model"],
            api_key=self.t["key"],
            base_url=self.t["url"] + "/v1",
            max_retries=0,
            stream_usage=True,
            use_responses_api=self.responses,
            **({"store": False, "reasoning": {"effort": "medium", "summary": "auto"}} if self.responses else {}),
        )
        self.messages = [SystemMessage(self.said["system"]), HumanMessage("Hello")]
        self.ways = (self.plain, self.streamed)

    def plain(self, model=None, messages=None):
        return (model or self.model).invoke(messages or self.messages)

    def streamed(self, model=None, messages=None):
        whole = None
        for piece in (model or self.model).stream(messages or self.messages):
            whole = piece if whole is None else whole + piece
        return whole

    @staticmethod
    def text_of(message):
        return message.text() if callable(message.text) else message.text

    def check(self, message):
        assert self.text_of(message) == self.words("text"), message
        counted = message.usage_metadata
        assert (counted["input_tokens"], counted["output_tokens"]) == self.counts(), counted

    def text(self):
        self.check(self.plain())

    def stream(self):
        self.check(self.streamed())

    def tools(self, wanted=1):
        function = {"name": self.weather["name"], "description": "w", "parameters": self.weather["schema"]}
        model = self.model.bind_tools([{"type": "function", "function": function}])
        for ask in self.ways:
            first = ask(model)
            assert [c["args"] for c in first.tool_calls] == CITIES[:wanted], first
            results = [ToolMessage(r, tool_call_id=c["id"]) for c, r in zip(first.tool_calls, self.said["results"])]
            said = AIMessage(content=first.content, tool_calls=first.tool_calls)
            assert self.text_of(ask(model, self.messages + [said] + results)) == self.words("answer")

    def parallel(self):
        self.tools(2)

    def image(self):
        url = {"url": "data:image/png;base64," + self.picture}
        content = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": url}]
        for ask in self.ways:
            assert self.text_of(ask(messages=[self.messages[0], HumanMessage(content)])) == self.words("text")

    def schema(self):
        form = {"title": self.report["name"], "description": "w", **self.report["schema"]}
        model = self.model.with_structured_output(form, method="json_schema", strict=True)
        assert model.invoke(self.messages) == REPORT
        *_, last = model.stream(self.messages)
        assert last == REPORT, last

    # Its messages have a place for what was thought where the responses' API is used alone.
    def reasoning(self):
        for ask in self.ways:
            message = ask()
            assert self.text_of(message) == self.words("text"), message
            thought = [b for b in message.content_blocks if b["type"] == "reasoning"]
            if self.responses:
                assert "".join(b.get("reasoning", "") for b in thought) == self.words("reasoning"), message

    def error(self):
        e = self.fails(self.plain, openai.RateLimitError)
        assert e.response.headers["retry-after"] == "1", e.response.headers

    def broken(self):
        so_far = []

        def read():
            for piece in self.model.stream(self.messages):
                so_far.append(self.text_of(piece))

        self.told(self.fails(read, Exception), "".join(so_far))

    def abort(self):
        stream = self.model.stream(self.messages)
        next(p for p in stream if self.text_of(p))
        stream.close()


class LangChainResponses(LangChain):
    responses = True

    # It takes each event of another item for a new one, and loses calls whose pieces come in turn.
    def parallel(self):
        self.ways = (self.plain,)
        self.tools(2)


CLIENTS = {c.__name__: c for c in (Anthropic, OpenAIChat, AzureChat, OpenAIResponses, Gemini, LangChain, LangChainResponses)}

for line in sys.stdin:
    t = json.loads(line)
    client = CLIENTS[t["client"]]
    try:
        getattr(client(t), t["scenario"])()
        told = {"ok": True}
    except client.refusal as e:
        told = {"ok": False, "message": str(e), "status": getattr(e, "status_code", getattr(e, "code", None))}
    except Exception as e:  # whatever went wrong is the test's to show
        told = {"ok": False, "message": f"{type(e).__name__}: {e}"}
    print(json.dumps(told), flush=True)
