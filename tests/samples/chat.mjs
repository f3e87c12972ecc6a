import OpenAI from "openai";
const client = new OpenAI({
  apiKey: "your-api-key",
  baseURL: "https://mume.ai/api/v1",
});
const stream = await client.chat.completions.create({
  model: "openai/gpt-4.1-mini",
  messages: [{role: "user", content: "Write a poem about the moon."}],
  stream: true,
});
for await (const chunk of stream) {
  const content = chunk.choices[0]?.delta?.content;
  if (content) {
    process.stdout.write(content);
  }
}
