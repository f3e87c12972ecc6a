// What the official npm client makes of an endpoint: one JSON object on standard output.
//
//   node official.mjs http://127.0.0.1:4711/v1

import OpenAI from 'openai';
import { zodFunction, zodResponseFormat, zodResponsesFunction, zodTextFormat } from 'openai/helpers/zod';
import { z } from 'zod';

const client = new OpenAI({ apiKey: 'key', baseURL: process.argv[2], maxRetries: 0 });
const model = 'm';
const prompt = 'Write a poem about the moon.';
const messages = [{ role: 'user', content: prompt }];
const Answer = z.object({ title: z.string(), lines: z.array(z.string()), stars: z.number().int().nullable() });
const LookUp = z.object({ word: z.string(), count: z.number().int() });
const found = {};

// Chat: plain, and by the helper.
found.chat = '';
for await (const chunk of await client.chat.completions.create({ model, messages, stream: true })) {
  found.chat += chunk.choices[0].delta.content ?? '';
}
{
  const stream = client.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
  let deltas = '';
  stream.on('content', (delta) => (deltas += delta));
  const completion = await stream.finalChatCompletion();
  found.chatHelper = [deltas, completion.choices[0].message.content];
  found.chatUsage = completion.usage;
  found.wholeUsage = (await client.chat.completions.create({ model, messages })).usage;
}

// Responses: plain, and by the helper.
found.responses = '';
for await (const event of await client.responses.create({ model, input: prompt, stream: true })) {
  if (event.type === 'response.output_text.delta') found.responses += event.delta;
}
{
  const stream = client.responses.stream({ model, input: prompt });
  let deltas = '';
  stream.on('response.output_text.delta', (event) => (deltas += event.delta));
  const response = await stream.finalResponse();
  found.responsesHelper = [deltas, response.output_text];
}

// Tool calls.
{
  const tools = [zodFunction({ name: 'look_up', parameters: LookUp })];
  const stream = client.chat.completions.stream({ model, messages, tools, tool_choice: 'required' });
  const { finish_reason, message } = (await stream.finalChatCompletion()).choices[0];
  found.chatTool = [finish_reason, message.tool_calls.length, message.tool_calls[0].function.parsed_arguments];
}
{
  const tools = [zodResponsesFunction({ name: 'look_up', parameters: LookUp })];
  const stream = client.responses.stream({ model, input: prompt, tools, tool_choice: 'required' });
  const { output } = await stream.finalResponse();
  found.responsesTool = [output[0].type, output.length, output[0].parsed_arguments];
}

// Structured output.
{
  const stream = client.chat.completions.stream({ model, messages, response_format: zodResponseFormat(Answer, 'answer') });
  found.chatParsed = (await stream.finalChatCompletion()).choices[0].message.parsed;
}
{
  const stream = client.responses.stream({ model, input: prompt, text: { format: zodTextFormat(Answer, 'answer') } });
  found.responsesParsed = (await stream.finalResponse()).output_parsed;
}

// Errors.
try {
  await client.chat.completions.create({ model, messages, n: 2 });
} catch (error) {
  found.error = [error.constructor.name, error.status, error.param, error.code];
}

// Abort in mid-stream, in each way there is. The endpoint tells how many of these handlers were cancelled.
const endless = [{ role: 'user', content: 'endless' }];
for await (const chunk of await client.chat.completions.create({ model, messages: endless, stream: true })) {
  if (chunk.choices[0].delta.content) break;
}
{
  const stream = await client.responses.create({ model, input: 'endless', stream: true });
  let events = 0;
  for await (const event of stream) {
    events += 1;
    if (event.type === 'response.output_text.delta') stream.controller.abort();
  }
  found.aborted = events > 2;
}
{
  const stream = client.chat.completions.stream({ model, messages: endless });
  stream.on('content', () => stream.abort());
  found.helperAborted = await stream.done().then(() => 'done', (error) => error.constructor.name);
}
{
  const controller = new AbortController();
  const whole = client.chat.completions.create({ model, messages: endless }, { signal: controller.signal });
  setTimeout(() => controller.abort(), 50);
  found.wholeAborted = await whole.then(() => 'done', (error) => error.constructor.name);
}

// In the background.
{
  let id, last;
  const seen = [];
  for await (const event of await client.responses.create({ model, input: prompt, background: true, stream: true })) {
    if (event.type === 'response.created') id = event.response.id;
    seen.push(event.sequence_number);
    last = event;
    if (event.type === 'response.output_text.delta') break;
  }
  for await (const event of await client.responses.retrieve(id, { stream: true, starting_after: last.sequence_number })) {
    seen.push(event.sequence_number);
    last = event;
  }
  found.resumed = [last.type, seen.every((number, index) => number === index)];
  found.retrieved = (await client.responses.retrieve(id)).output_text;
  const stream = client.responses.stream({ response_id: id, starting_after: 0 });
  found.retrievedByHelper = (await stream.finalResponse()).output_text;
  const queued = await client.responses.create({ model, input: 'endless', background: true });
  found.cancelled = [queued.status, (await client.responses.cancel(queued.id)).status];
}

console.log(JSON.stringify(found));
