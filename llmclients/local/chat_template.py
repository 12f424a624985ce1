"""The chat template that a model without one for tools gets: its own, and before it the text that tools become."""

# Theory of operation
#
# A chat template is a Jinja program in the weights file. llama.cpp runs it to make a prompt of `messages` and `tools`,
# and takes from it, too, how the model writes calls: it renders a call, looks what it came to, and makes the grammar
# and the parser of that. SmolLM2's template knows neither tools nor calls, so the engine would drop both in silence.
#
# `_TOOLS` runs before such a template, in the same program. It replaces `messages` by others that any template can
# render, with nothing in them but a role and text:
#
# - what the tools are is written into the first message: not every template takes a system message in front of it;
# - calls become text of the assistant, between <tool_calls> and </tool_calls>. One pair of marks is around all calls of
#   a turn: with marks around each, llama.cpp's grammar allows another call where only one was asked for;
# - results become the user's text, all of a turn in one message: some templates want the roles to take turns. "Answer
#   in words" is what makes SmolLM2 say what a result in JSON means, and not repeat it.

from __future__ import annotations

import re
from pathlib import Path

from llmclients.local.gguf import text_value

__all__ = ["CHATML", "chat_template"]

_TEMPLATE_KEY = "tokenizer.chat_template"
_TOOL_TEMPLATE_KEY = "tokenizer.chat_template.tool_use"

CHATML = """{%- for message in messages -%}
{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor -%}
{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\\n' }}{%- endif -%}"""
"""What the engine takes for a model whose file has no template."""

_TOOLS = """{%- set ns = namespace(messages=[], text='', tools='', after_result=false) -%}
{%- if tools -%}
{%- for tool in tools -%}{%- set ns.tools = ns.tools + (tool['function'] | tojson) + '\\n' -%}{%- endfor -%}
{%- set ns.tools = 'Functions:\\n' + ns.tools + 'To call one, write:\\n'
    + '<tool_calls>\\n[{"name": its name, "arguments": an object}]\\n</tool_calls>' -%}
{%- endif -%}
{%- for message in messages -%}
{%- set ns.text = message['content'] or '' -%}
{%- if loop.first and ns.tools -%}
{%- set ns.text = ns.text + '\\n\\n' + ns.tools if message['role'] == 'system' else ns.tools + '\\n\\n' + ns.text -%}
{%- endif -%}
{%- if message['role'] == 'tool' -%}
{%- set ns.text = '<tool_response>\\n' + ns.text + '\\n</tool_response>\\nAnswer in words.' -%}
{%- if ns.after_result -%}
{%- set ns.text = ns.messages[-1]['content'] + '\\n' + ns.text -%}
{%- set ns.messages = ns.messages[:-1] -%}
{%- endif -%}
{%- set ns.messages = ns.messages + [{'role': 'user', 'content': ns.text}] -%}
{%- else -%}
{%- if message['tool_calls'] -%}
{%- set ns.text = ns.text + ('\\n' if ns.text else '') + '<tool_calls>\\n[' -%}
{%- for call in message['tool_calls'] -%}
{%- set ns.text = ns.text + ('' if loop.first else ', ') + '{"name": "' + call['function']['name']
    + '", "arguments": ' + (call['function']['arguments'] | tojson) + '}' -%}
{%- endfor -%}
{%- set ns.text = ns.text + ']\\n</tool_calls>' -%}
{%- endif -%}
{%- set ns.messages = ns.messages + [{'role': message['role'], 'content': ns.text}] -%}
{%- endif -%}
{%- set ns.after_result = message['role'] == 'tool' -%}
{%- endfor -%}
{%- set messages = ns.messages -%}
"""


def chat_template(weights: Path) -> str | None:
    """The template to run for these weights, tools included; None for the file's own, which knows tools.

    Raises:
        OSError: the file cannot be read.
    """
    template = text_value(weights, _TEMPLATE_KEY)
    if template is None:
        return _TOOLS + CHATML
    if re.search(r"\btools\b", template) or text_value(weights, _TOOL_TEMPLATE_KEY) is not None:
        return None
    return _TOOLS + template
