"""What nats-py reads and writes: one line of JSON for each message."""

import asyncio
import json
import sys

import nats


def show(message):
    headers = dict(message.headers or {})
    print(json.dumps({"headers": headers, "hex": message.data.hex()}), flush=True)


async def main(url, what, subject, argument):
    client = await nats.connect(url)
    if what == "listen":
        subscription = await client.subscribe(subject)
        await client.flush()
        print("ready", flush=True)
        wanted = int(argument)
        while wanted > 0:
            message = await subscription.next_msg(timeout=20)
            # What stands where a source is has no headers: it is for receivers of agora alone.
            if message.headers:
                show(message)
                wanted -= 1
    elif what == "say":
        await client.publish(subject, argument.encode(), headers={"colour": "red"})
        await client.flush()
    elif what == "append":
        answer = await client.jetstream().publish(subject, argument.encode(), headers={"colour": "red"})
        print(json.dumps({"stream": answer.stream, "seq": answer.seq}), flush=True)
    elif what == "read":
        pulled = await client.jetstream().pull_subscribe(subject, durable="python")
        for message in await pulled.fetch(int(argument), timeout=20):
            show(message)
            await message.ack()
    await client.close()


asyncio.run(main(*sys.argv[1:]))
