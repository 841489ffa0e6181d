//! The board against a model, whatever the DAG, the outcomes and the order in which tasks end.

use super::model::{Plan, plans};
use bursar::engine::board::{Board, Mark, Move, Node};
use bursar::engine::task::{Label, TaskState};
use chrono::{DateTime, TimeDelta};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

/// The board of a plan of which nothing has begun.
fn nodes(plan: &Plan) -> Vec<Node> {
    plan.nodes().into_iter().map(|(task, item, _)| Node { task, item, mark: Mark::Waiting, ended_at: None }).collect()
}

/// A play of a board to its end.
struct Played {
    nodes: Vec<Node>,
    /// The nodes released, in order, each with the nodes that had ended by then.
    released: Vec<(usize, BTreeSet<usize>)>,
}

/// Ends what is open in a random order until nothing is. A board is made anew each time, as the engine does it.
fn play(plan: &Plan, mut nodes: Vec<Node>, fate: impl Fn(usize) -> TaskState, random: &mut fastrand::Rng) -> Played {
    let mut released = Vec::new();
    loop {
        let ended: BTreeSet<usize> = ended(&nodes);
        let mut board = Board::new(plan.tasks.clone(), nodes);
        for (node, next) in board.advance() {
            if next == Move::Release {
                released.push((node, ended.clone()));
            }
        }
        assert_eq!(board.advance(), vec![], "advancing twice is once");
        nodes = board.nodes().to_vec();
        let open: Vec<usize> = (0..nodes.len()).filter(|i| nodes[*i].mark == Mark::Open).collect();
        let Some(next) = random.choice(&open) else {
            assert!(board.is_over(), "nothing is open and not all has ended: {nodes:?}");
            return Played { nodes, released };
        };
        assert!(!board.is_over());
        nodes[*next].mark = Mark::Ended(fate(*next));
    }
}

fn ended(nodes: &[Node]) -> BTreeSet<usize> {
    (0..nodes.len()).filter(|i| matches!(nodes[*i].mark, Mark::Ended(_))).collect()
}

fn ends(plan: &Plan, nodes: &[Node]) -> BTreeMap<String, TaskState> {
    let end = |node: &Node| match node.mark {
        Mark::Ended(state) => (plan.label(node.task, node.item.as_ref()), state),
        other => panic!("{node:?} is {other:?}"),
    };
    nodes.iter().map(end).collect()
}

/// All tasks downstream of a task.
fn downstream(plan: &Plan, of: usize) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    for task in of + 1..plan.tasks.len() {
        if plan.tasks[task].after.iter().any(|up| *up == of || found.contains(up)) {
            found.insert(task);
        }
    }
    found
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn every_node_ends_as_the_model_says_in_whatever_order_they_do(plan in plans(7), seed: u64) {
        let fates: Vec<TaskState> = plan.nodes().into_iter().map(|(.., fate)| fate).collect();
        let played = play(&plan, nodes(&plan), |node| fates[node], &mut fastrand::Rng::with_seed(seed));
        prop_assert_eq!(ends(&plan, &played.nodes), plan.ends());
    }

    #[test]
    fn a_task_starts_once_and_only_when_all_items_of_its_upstreams_have_ended(plan in plans(7), seed: u64) {
        let all = plan.nodes();
        let fates: Vec<TaskState> = all.iter().map(|(.., fate)| *fate).collect();
        let played = play(&plan, nodes(&plan), |node| fates[node], &mut fastrand::Rng::with_seed(seed));
        let distinct: BTreeSet<usize> = played.released.iter().map(|(node, _)| *node).collect();
        prop_assert_eq!(distinct.len(), played.released.len());
        for (node, _) in &played.released {
            let after = &plan.tasks[all[*node].0].after;
            let needed = (0..all.len()).filter(|up| after.contains(&all[*up].0));
            // What was skipped in the same advance has ended by the time the node may start.
            let (before, skipped): (Vec<usize>, Vec<usize>) = needed.partition(|up| {
                played.released.iter().find(|(n, _)| n == node).is_some_and(|(_, ended)| ended.contains(up))
            });
            let was_released = |up: &usize| played.released.iter().any(|(n, _)| n == up);
            prop_assert!(!skipped.iter().any(was_released), "{node} started before {skipped:?}; ended {before:?}");
        }
    }

    #[test]
    fn what_is_repeated_is_what_failed_and_all_that_is_downstream_and_then_nothing_has_failed(
        plan in plans(7),
        seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let all = plan.nodes();
        let fates: Vec<TaskState> = all.iter().map(|(.., fate)| *fate).collect();
        let mut nodes = play(&plan, nodes(&plan), |node| fates[node], &mut random).nodes;
        let failed = |n: &Node| matches!(n.mark, Mark::Ended(TaskState::Failed));
        let roots: BTreeSet<usize> = nodes.iter().filter(|n| failed(n)).map(|n| n.task).collect();
        let below: BTreeSet<usize> = roots.iter().flat_map(|root| downstream(&plan, *root)).collect();
        let expected: Vec<usize> = (0..nodes.len()).filter(|i| failed(&nodes[*i]) || below.contains(&nodes[*i].task)).collect();
        let again = Board::new(plan.tasks.clone(), nodes.clone()).to_repeat(None);
        prop_assert_eq!(&again, &expected);
        for node in &again {
            nodes[*node].mark = Mark::Waiting;
        }
        let nodes = play(&plan, nodes, |_| TaskState::Succeeded, &mut random).nodes;
        prop_assert!(!nodes.iter().any(failed));
        let skips = fates.contains(&TaskState::Skipped);
        prop_assert!(skips || nodes.iter().all(|n| n.mark == Mark::Ended(TaskState::Succeeded)), "{nodes:?}");
    }

    #[test]
    fn what_is_repeated_after_one_was_settled_is_what_failed_else_and_all_that_ended_without_it(
        plan in plans(7),
        seed: u64,
    ) {
        let mut random = fastrand::Rng::with_seed(seed);
        let all = plan.nodes();
        let mut nodes = play(&plan, nodes(&plan), |node| all[node].2, &mut random).nodes;
        let failed = |n: &Node| matches!(n.mark, Mark::Ended(TaskState::Failed));
        let candidates: Vec<usize> = (0..nodes.len()).filter(|i| failed(&nodes[*i])).collect();
        // A task that is fanned out over nothing keeps nothing back: what is behind it has not waited.
        prop_assume!(!candidates.is_empty() && !plan.items.is_empty());
        let settled = *random.choice(&candidates).expect("one failed");
        let earlier = DateTime::UNIX_EPOCH;
        for node in &mut nodes {
            node.ended_at = Some(earlier);
        }
        nodes[settled].mark = Mark::Ended(TaskState::Succeeded);
        nodes[settled].ended_at = Some(earlier + TimeDelta::seconds(1));
        let roots: BTreeSet<usize> =
            nodes.iter().filter(|n| failed(n)).map(|n| n.task).chain([nodes[settled].task]).collect();
        let below: BTreeSet<usize> = roots.iter().flat_map(|root| downstream(&plan, *root)).collect();
        let expected: Vec<usize> = (0..nodes.len()).filter(|i| failed(&nodes[*i]) || below.contains(&nodes[*i].task)).collect();
        prop_assert_eq!(Board::new(plan.tasks.clone(), nodes).to_repeat(None), expected);
    }

    #[test]
    fn one_task_is_repeated_with_all_that_is_downstream_whatever_became_of_it(plan in plans(7), seed: u64) {
        let all = plan.nodes();
        prop_assume!(!all.is_empty());
        let mut random = fastrand::Rng::with_seed(seed);
        let nodes = play(&plan, nodes(&plan), |node| all[node].2, &mut random).nodes;
        let chosen = random.usize(..all.len());
        let label = Label { task: plan.tasks[all[chosen].0].name.clone(), item: all[chosen].1.clone() };
        let below = downstream(&plan, all[chosen].0);
        let expected: Vec<usize> = (0..all.len()).filter(|i| *i == chosen || below.contains(&all[*i].0)).collect();
        prop_assert_eq!(Board::new(plan.tasks.clone(), nodes).to_repeat(Some(&label)), expected);
    }
}
