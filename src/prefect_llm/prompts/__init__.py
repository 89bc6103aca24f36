"""From a document's fields to a request: templates, answer schema, fingerprint."""

from prefect_llm.prompts.other_provider import for_provider
from prefect_llm.prompts.output_type import to_output_array
from prefect_llm.prompts.prompt import Prompt, PromptSpec

__all__ = ["Prompt", "PromptSpec", "for_provider", "to_output_array"]
