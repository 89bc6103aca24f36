#!/usr/bin/env bash
# What:      the cost of one answer of gpt-4o-mini-search-preview, a model that always searches and is billed per search
# Version:   litellm 1.110.2, genai-prices 0.2.3
# Guess:     two price lists that both know the model and its fee say about the same, whether or not the answer cites a page
# Behaviour: uncited, both leave the fee out. With three citations litellm adds one fee of $0.025, and the cost is 120 times that
#            of genai-prices, which never counts searches in this format and, told of one, adds $0.010
set -euo pipefail
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT
cd "$room"
python3 -m venv venv
venv/bin/pip install -q --disable-pip-version-check litellm==1.110.2 genai-prices==0.2.3
export LITELLM_LOCAL_MODEL_COST_MAP=True

venv/bin/python - <<'PY'
from importlib.metadata import version

import litellm
from genai_prices import Usage, calc_price, extract_usage

MODEL = "gpt-4o-mini-search-preview"


def answer(citations):
    page = {"url": "https://example.org", "title": "a page", "start_index": 0, "end_index": 3}
    message = {"role": "assistant", "content": "yes", "annotations": [{"type": "url_citation", "url_citation": page}] * citations}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1764374400,
        "model": MODEL,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
    }


def by_litellm(body):
    response = litellm.ModelResponse(**body)
    return round(litellm.completion_cost(completion_response=response, model=MODEL, custom_llm_provider="openai"), 6)


def by_genai_prices(body):
    return float(extract_usage(body, provider_id="openai", api_flavor="chat").calc_price().total_price)


uncited = by_litellm(answer(0)), by_genai_prices(answer(0))
cited = by_litellm(answer(3)), by_genai_prices(answer(3))
told = float(calc_price(Usage(input_tokens=1000, output_tokens=100, web_searches=1), MODEL, provider_id="openai").total_price)

print(f"litellm {version('litellm')}, genai-prices {version('genai-prices')}: dollars for 1,000 + 100 tokens and a search")
print("guessed:        one figure of about 0.025, four times")
print("no citation:   ", uncited)
print("three citations:", cited)
print("genai-prices, told of one search:", told)

assert uncited == (0.00021, 0.00021)
assert cited == (0.02521, 0.00021)
assert told == 0.01021
PY
