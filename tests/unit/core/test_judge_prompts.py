"""What annotation configs of all kinds tell a judge."""

import pytest

from assay.core.annotation_configs import normal_form
from assay.core.judge_prompts import judge_prompt


def prompt_of(config, question="Good?"):
    return judge_prompt(normal_form(config, ()), question)


def test_without_a_config_input_and_output_are_shown_and_what_is_expected_if_it_is_there():
    prompt = judge_prompt(None, "Good?")
    assert [f"{{{{item.{name}}}}}" in prompt.text for name in ("input", "output", "expected_output")] == [True] * 3
    assert prompt.optional == ("item.expected_output",)


def test_every_spelling_of_a_placeholder_is_one_and_the_rest_is_text():
    template = "{{ in }} {{{in}}} {in} {{input}} {other} {{other}} {} {{ {in"
    config = {
        "llm_prompt": {
            "template": template,
            "variables": [{"name": "in", "data_loc": ["test_case_data", "input", "k"]}],
        }
    }
    prompt = prompt_of(config)
    assert (
        prompt.text == "{{item.input.k}} {{item.input.k}} {{item.input.k}} {{item.input}} {other} {{other}} {} {{ {in"
    )
    assert prompt.optional == ("item.input",)


def test_the_question_stands_where_the_template_has_it():
    config = {"llm_prompt": {"template": "Q: {{evaluation_question}}", "variables": []}}
    assert prompt_of(config).text == "Q: Good?"
    assert prompt_of(config, "{{item.secret}}?").text == "Q: (the question that stands below)"


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (
            {"document_loc": ["test_case_data", "input", "document"], "summary_loc": ["test_case_output", "output"]},
            {"document": "item.input.document", "summary": "item.output"},
        ),
        (
            {
                "original_text_loc": ["test_case_data", "input", "original_text"],
                "translation_loc": ["test_case_output", "output"],
                "language_loc": ["test_case_data", "input", "language"],
            },
            {"original_text": "item.input.original_text", "language": "item.input.language"},
        ),
        ({"messages_loc": ["test_case_data", "input", "messages"]}, {"messages": "item.input.messages"}),
    ],
)
def test_a_forms_places_are_variables_and_are_shown_without_a_template(config, names):
    template = " ".join(f"{{{{{name}}}}}" for name in names)
    written = prompt_of({**config, "llm_prompt": {"template": template, "variables": []}})
    assert written.text == " ".join(f"{{{{{locator}}}}}" for locator in names.values())
    shown = prompt_of(config).text
    assert all(f"{{{{{locator}}}}}" in shown for locator in names.values())


def test_the_generation_form_is_its_template():
    prompt = prompt_of({"llm_prompt_template": "{input} -> {output} ({expected_output}, {extra_info})"})
    assert prompt.text == "{{item.input}} -> {{item.output}} ({{item.expected_output}}, {{item.extra_info}})"
    assert set(prompt.optional) == {"item.expected_output", "item.extra_info"}


@pytest.mark.parametrize(
    "prompt",
    [
        {"template": "{{item.output}}", "variables": []},
        {"template": "{x}", "variables": [{"name": "x", "data_loc": ["nowhere"]}]},
    ],
)
def test_what_points_at_nothing_known_is_refused(prompt):
    with pytest.raises(ValueError, match=r"data_loc"):
        prompt_of({"llm_prompt": prompt})
