"""The codec of Gemini's generateContent."""
