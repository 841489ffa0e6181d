//! What a DAG comes to, said in the simplest way there is: tasks in the order of their numbers, upstreams first.

use super::after;
use bursar::engine::job::Task;
use bursar::engine::task::{Label, TaskState};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A random DAG with what each node would come to if it ran.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) tasks: Vec<Task>,
    pub(super) items: Vec<&'static str>,
    /// By task, then item: what it comes to when it runs.
    pub(super) fates: Vec<Vec<TaskState>>,
}

pub(super) const ITEMS: [&str; 3] = ["a", "b", "c"];

impl Plan {
    /// The items of a task; one that is none where it is not fanned out.
    pub(super) fn items_of(&self, task: usize) -> Vec<Option<String>> {
        match self.tasks[task].for_each {
            None => vec![None],
            Some(_) => self.items.iter().map(|item| Some((*item).to_owned())).collect(),
        }
    }

    /// Every node: task, item, what it comes to when it runs.
    pub(super) fn nodes(&self) -> Vec<(usize, Option<String>, TaskState)> {
        let of = |task| self.items_of(task).into_iter().zip(&self.fates[task]).map(move |(i, fate)| (task, i, *fate));
        (0..self.tasks.len()).flat_map(of).collect()
    }

    pub(super) fn label(&self, task: usize, item: Option<&String>) -> String {
        Label { task: self.tasks[task].name.clone(), item: item.cloned() }.to_string()
    }

    /// Whether a task ever starts, given what those before it came to.
    fn starts(&self, task: usize, ends: &[Vec<TaskState>]) -> bool {
        let is_good = |up: &usize| ends[*up].iter().all(|end| *end == TaskState::Succeeded);
        self.tasks[task].after_any_outcome || self.tasks[task].after.iter().all(is_good)
    }

    /// How every node ends.
    pub(super) fn ends(&self) -> BTreeMap<String, TaskState> {
        let mut ends: Vec<Vec<TaskState>> = Vec::new();
        for task in 0..self.tasks.len() {
            let items = self.items_of(task).len();
            let starts = self.starts(task, &ends);
            let fates = self.fates[task].iter().take(items);
            ends.push(fates.map(|fate| if starts { *fate } else { TaskState::Skipped }).collect());
        }
        let of = |task: usize| {
            let labels = self.items_of(task).into_iter().map(move |item| self.label(task, item.as_ref()));
            labels.zip(ends[task].clone())
        };
        (0..self.tasks.len()).flat_map(of).collect()
    }
}

fn fate() -> impl Strategy<Value = TaskState> {
    prop_oneof![
        6 => Just(TaskState::Succeeded),
        2 => Just(TaskState::Failed),
        1 => Just(TaskState::Skipped),
    ]
}

/// A task's own part of a plan: fanned out, after any outcome, a choice of upstreams, its fates.
type Part = (bool, bool, Vec<bool>, Vec<TaskState>);

fn part(most: usize) -> impl Strategy<Value = Part> {
    let fates = prop::collection::vec(fate(), ITEMS.len());
    (any::<bool>(), prop::bool::weighted(0.3), prop::collection::vec(prop::bool::weighted(0.4), most), fates)
}

/// Plans of at most so many tasks.
pub(super) fn plans(most: usize) -> impl Strategy<Value = Plan> {
    (prop::collection::vec(part(most), 1..=most), 0..=ITEMS.len()).prop_map(|(parts, items)| {
        let task = |(i, (is_fanned, any, chosen, _)): (usize, &Part)| {
            let upstreams: Vec<usize> = (0..i).filter(|up| chosen[*up]).collect();
            let for_each = is_fanned.then(|| "item".to_owned());
            Task { for_each, after_any_outcome: *any, ..after(&format!("t{i}"), &upstreams) }
        };
        Plan {
            tasks: parts.iter().enumerate().map(task).collect(),
            items: ITEMS[..items].to_vec(),
            fates: parts.into_iter().map(|(.., fates)| fates).collect(),
        }
    })
}
