curl https://mume.ai/api/v1/chat/completions \
-H "Content-Type: application/json" \
-H "Authorization: Bearer $MUME_API_KEY" \
-d '{
"model": "openai/gpt-4.1-mini",
"messages": [
{"role": "user", "content": "Write a poem about the moon."}
],
"stream": true
}'
