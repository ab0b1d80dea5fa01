# One session of the official Python client (PyPI mcp 1.x): initialize, list, call, a limit refused,
# and the session goes on. Arguments: URL, key. Prints one JSON line per step.
import asyncio
import json
import sys

from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamablehttp_client


def say(**what):
    print(json.dumps(what), flush=True)


async def main(url, key):
    async with streamablehttp_client(url, headers={"authorization": f"Bearer {key}"}) as (read, write, _):
        async with ClientSession(read, write) as session:
            opened = await session.initialize()
            say(step="initialize", version=opened.protocolVersion)
            tools = await session.list_tools()
            say(step="list", tools=[t.name for t in tools.tools])
            refused = None
            for n in range(20):
                try:
                    result = await session.call_tool("echo", {"message": f"m{n}"})
                    say(step="call", text=result.content[0].text)
                except McpError as e:
                    refused = e.error
                    break
            say(step="refused", code=refused.code, data=refused.data)
            await asyncio.sleep(refused.data["retry_after"])
            result = await session.call_tool("echo", {"message": "later"})
            say(step="later", text=result.content[0].text)


asyncio.run(main(*sys.argv[1:]))
