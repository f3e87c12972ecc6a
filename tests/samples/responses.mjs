const stream = await client.responses.create({
  model: "openai/gpt-4.1-nano",
  input: [
    {type: "message", content: "Write a poem about the moon.", role: "user"},
  ],
  stream: true,
});
for await (const chunk of stream) {
  if (chunk.type === "response.output_text.delta") {
    process.stdout.write(chunk.delta);
  }
}
