"""Every row of the lock table is tested in the core, on LangChain's messages, and live through `create_agent`: here is where.

What a row says stands in `docs/explanation/locks.md`, whose blocks are run as well.
"""

from __future__ import annotations

import ast
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).resolve().parents[1]
BOUNDARY, FLOW, BOUND, PREFIX = (f"unit/core/test_{place}.py" for place in ("boundary", "flow", "flow_bindings", "prefix"))
BLOCKS, MESSAGES, NAMES, OUTCOMES = (f"unit/langchain/test_{place}.py" for place in ("blocks", "messages", "names", "outcomes"))
LIVE = "integration/agents/test_{}.py"
LOOPS, INTERRUPTS, NEIGHBOURS, SESSIONS, STREAMING = map(LIVE.format, ("tool_loops", "interrupts", "neighbours", "sessions", "streaming"))
STATE, ROWS, STRUCTURED = map(LIVE.format, ("provider_state", "rows_of_the_lock_table", "structured_output"))


class Row(NamedTuple):
    """Where one row is tested: a file, and the name of a test in it."""

    core: tuple[str, str]
    messages: tuple[str, str]
    live: tuple[str, str]


TABLE = {
    "tool loop, unanswered calls": Row(
        (BOUNDARY, "test_unanswered_calls_lock_to_the_asker"),
        (BLOCKS, "test_calls_come_first_and_in_order"),
        (INTERRUPTS, "test_an_interrupt_of_a_tool_passes_and_parallel_calls_stay_answered"),
    ),
    "tool loop, answered, not consumed": Row(
        (BOUNDARY, "test_answered_and_not_consumed_locks_to_the_asker"),
        (BLOCKS, "test_tool_results"),
        (LOOPS, "test_loops_stay_with_their_asker_and_models_change_between_turns"),
    ),
    "parallel calls, partly answered": Row(
        (BOUNDARY, "test_parallel_calls_partly_answered"),
        (BLOCKS, "test_tool_results"),
        (ROWS, "test_parallel_calls_of_which_one_was_answered_stay_with_their_asker"),
    ),
    "a failed or rejected tool": Row(
        (BOUNDARY, "test_a_failed_tool_is_an_answer_and_still_locks"),
        (MESSAGES, "test_tool_errors_are_counted_by_what_the_framework_says_of_them"),
        (LOOPS, "test_a_failed_tool_is_an_answer_and_the_lock_holds"),
    ),
    "human message injected inside a loop": Row(
        (BOUNDARY, "test_an_injected_human_message_is_no_boundary"),
        (MESSAGES, "test_what_nobody_typed"),
        (LOOPS, "test_media_that_a_tool_hands_over_are_no_boundary"),
    ),
    "invalid_tool_calls": Row(
        (BOUNDARY, "test_invalid_calls_stay_locked_until_each_is_repaired"),
        (BLOCKS, "test_calls_come_first_and_in_order"),
        (LOOPS, "test_invalid_calls_are_a_boundary_once_the_framework_repaired_them"),
    ),
    "interrupt, human in the loop": Row(
        (BOUNDARY, "test_an_interrupt_keeps_the_lock_through_the_checkpoint"),
        (OUTCOMES, "test_control_flow_is_no_failure_of_a_model"),
        (INTERRUPTS, "test_a_resume_in_a_new_process_goes_to_the_model_that_asked"),
    ),
    "abandoned loop": Row(
        (BOUNDARY, "test_a_human_closes_an_abandoned_loop"),
        ("unit/langchain/test_portability.py", "test_an_abandoned_call_gets_a_result_that_says_that_nobody_knows"),
        (LOOPS, "test_loops_that_were_left_in_the_middle_move_between_any_two_apis"),
    ),
    "artificial calls: ToolStrategy, return_direct": Row(
        (BOUNDARY, "test_an_artificial_call_ends_with_its_run"),
        (OUTCOMES, "test_the_outcome_says_what_the_answer_waits_for"),
        (STRUCTURED, "test_the_lock_of_a_tool_that_nobody_runs_ends_with_the_run"),
    ),
    "synthetic AI messages": Row(
        (BOUNDARY, "test_a_synthetic_message_without_an_author_is_no_asker"),
        (MESSAGES, "test_by_stamp_by_id_and_by_dated_id"),
        (LOOPS, "test_synthetic_messages_of_call_limits_hold_no_lock"),
    ),
    "handoff, Send, subagent, subgraph": Row(
        (BOUNDARY, "test_agents_that_share_a_history_do_not_lock_one_another"),
        (NAMES, "test_every_door_gives_one_session"),
        (SESSIONS, "test_two_agents_that_hand_one_history_to_each_other"),
    ),
    "OpenAI client-run blocks": Row(
        (BOUNDARY, "test_client_blocks_lock_without_tool_calls"),
        (BLOCKS, "test_client_blocks_of_the_responses_api"),
        (ROWS, "test_a_patch_goes_to_the_model_that_asked_for_it"),
    ),
    "OpenAI server tools, Responses ids": Row(
        (BOUND, "test_what_the_account_holds_goes_with_any_model_of_the_account"),
        (BLOCKS, "test_items_of_the_responses_api"),
        (STATE, "test_signed_and_sealed_thoughts_over_turns_of_switching"),
    ),
    "Anthropic server tools": Row(
        (BOUNDARY, "test_an_unfinished_server_tool_locks"),
        (BLOCKS, "test_an_unfinished_server_tool_of_anthropic"),
        (STATE, "test_a_paused_turn_is_resent_unchanged_to_its_model"),
    ),
    "thinking with signatures": Row(
        (BOUND, "test_convert_switches_and_says_what_must_be_converted"),
        (BLOCKS, "test_gemini"),
        (ROWS, "test_thought_signatures_of_gemini_over_turns_of_switching"),
    ),
    "containers, file ids": Row(
        (BOUND, "test_convert_stays_where_nothing_can_be_converted"),
        (BLOCKS, "test_uploaded_files_are_on_an_account_or_at_least_with_a_provider"),
        (ROWS, "test_a_container_pins_the_session_to_its_account"),
    ),
    "history rewritten": Row(
        (PREFIX, "test_a_rewritten_or_trimmed_history_is_cold"),
        (MESSAGES, "test_a_message_replaced_under_its_id_is_noticed"),
        (NEIGHBOURS, "test_a_summary_makes_prefixes_worthless_and_moves_no_lock"),
    ),
    "streaming": Row(
        (BOUNDARY, "test_a_partial_message_locks"),
        (MESSAGES, "test_a_chunk_at_the_end_is_partial_until_it_says_last"),
        (STREAMING, "test_a_stream_that_dies_after_text_was_seen_is_an_error_and_no_other_text_follows"),
    ),
    "middleware's own model calls": Row(
        (BOUND, "test_they_are_routed_and_leave_the_session_alone"),
        ("integration/chat_model/test_sessions.py", "test_a_middlewares_own_call_leaves_the_session_where_it_is"),
        (NEIGHBOURS, "test_a_summary_makes_prefixes_worthless_and_moves_no_lock"),
    ),
    "fallback inside the handler": Row(
        (FLOW, "test_a_fallback_in_the_handler_moves_the_session_to_who_answered"),
        (OUTCOMES, "test_by_the_providers_id"),
        (NEIGHBOURS, "test_the_lock_follows_the_model_that_a_fallback_inside_the_router_found"),
    ),
}
"""By the name that the row has in the design."""


def names_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("row", TABLE)
def test_every_row_is_tested_at_three_heights(row: str) -> None:
    missing = [f"{file}: {name}" for file, name in TABLE[row] if name not in names_in(file)]
    assert not missing


def test_the_design_has_no_other_row() -> None:
    # Beside the repository, never in it. Where it is missing this fails, as every test does that needs what lies there.
    design = TESTS.parents[1] / "shared" / "DESIGN.md"
    section = design.read_text(encoding="utf-8").partition("## Locks")[2].partition("\n## ")[0]
    rows = [
        line.split("|")[1].replace("`", "").strip()
        for line in section.splitlines()
        if line.startswith("| ") and not line.startswith("| case")
    ]
    assert len(rows) == len(TABLE)
    assert all(row.startswith(tuple(TABLE)) for row in rows), rows
