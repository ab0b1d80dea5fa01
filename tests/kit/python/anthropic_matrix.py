"""Anthropic's Python client for the matrix (tests/e2e/matrix): reads one scenario a line from stdin, as JSON, and says
how it went, one line each."""

import json
import sys

import anthropic


def text_of(message):
    return "".join(b.text for b in message.content if b.type == "text")


class Run:
    def __init__(self, t):
        self.said, self.weather, self.report = t["said"], t["weather"], t["report"]
        self.usage, self.picture = t["usage"], t["picture"]
        self.client = anthropic.Anthropic(api_key=t["key"], base_url=t["url"], max_retries=0)
        self.body = {
            "model": t["model"],
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

    def check(self, message):
        assert text_of(message) == "".join(self.said["text"]), message
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

    def use(self, wanted):
        tools = [{"name": self.weather["name"], "description": "w", "input_schema": self.weather["schema"]}]
        for ask in self.ways:
            first = ask(tools=tools)
            calls = [b for b in first.content if b.type == "tool_use"]
            assert first.stop_reason == "tool_use", first
            assert [c.input for c in calls] == [{"city": "Paris"}, {"city": "Oslo"}][:wanted], calls
            results = [
                {"type": "tool_result", "tool_use_id": c.id, "content": r} for c, r in zip(calls, self.said["results"])
            ]
            messages = self.body["messages"] + [
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": results},
            ]
            assert text_of(ask(tools=tools, messages=messages)) == "".join(self.said["answer"])

    def tools(self):
        self.use(1)

    def parallel(self):
        self.use(2)

    def image(self):
        source = {"type": "base64", "media_type": "image/png", "data": self.picture}
        content = [{"type": "image", "source": source}, {"type": "text", "text": "What is it?"}]
        assert text_of(self.plain(messages=[{"role": "user", "content": content}])) == "".join(self.said["text"])

    def schema(self):
        config = {"format": {"type": "json_schema", "schema": self.report["schema"]}}
        for ask in self.ways:
            assert json.loads(text_of(ask(output_config=config))) == {"city": "Paris", "degrees": 21}

    def reasoning(self):
        for ask in self.ways:
            message = ask(thinking={"type": "enabled", "budget_tokens": 2048})
            assert message.content[0].type == "thinking", message
            assert message.content[0].thinking == "".join(self.said["reasoning"])
            assert text_of(message) == "".join(self.said["text"])

    def error(self):
        try:
            self.plain()
        except anthropic.RateLimitError as e:
            assert e.response.headers["retry-after"] == "7", e.response.headers
            return
        raise AssertionError("it was not refused")

    def broken(self):
        text, ended = "", False
        try:
            for event in self.client.messages.create(**self.body, stream=True):
                ended = ended or event.type == "message_stop"
                if event.type == "content_block_delta":
                    text += event.delta.text
        except anthropic.APIError as e:
            assert self.said["overloaded"] in str(e), e
            assert text == self.said["text"][0] and not ended, text
            return
        raise AssertionError("it ended as if it were whole")


for line in sys.stdin:
    t = json.loads(line)
    try:
        getattr(Run(t), t["scenario"])()
        told = {"ok": True}
    except anthropic.APIStatusError as e:
        told = {"ok": False, "message": str(e), "status": e.status_code}
    except Exception as e:  # whatever went wrong is the test's to show
        told = {"ok": False, "message": f"{type(e).__name__}: {e}"}
    print(json.dumps(told), flush=True)
