//! The DAG of a run, as it stands: which task may start, which can't any more, and whether all is over. Pure.

use super::job::Task;
use super::task::{Label, TaskState};
use chrono::{DateTime, Utc};

/// A task of a run, for one item where it is fanned out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Index of the task in the plan.
    pub task: usize,
    /// The item it is for.
    pub item: Option<String>,
    /// How far it is.
    pub mark: Mark,
    /// When it ended, by the database's clock; none for one that has not.
    pub ended_at: Option<DateTime<Utc>>,
}

/// How far a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It waits for its upstreams.
    Waiting,
    /// It was released, and has not ended.
    Open,
    /// It has ended.
    Ended(TaskState),
}

/// What becomes of a node that waited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// It may start.
    Release,
    /// It can't any more, for this reason.
    Skip(String),
}

/// The nodes of a run and how far each is.
#[derive(Clone, Debug)]
pub struct Board {
    plan: Vec<Task>,
    nodes: Vec<Node>,
}

/// What the nodes of a task say to those downstream.
enum Verdict {
    Pending,
    Passed,
    Failed(String),
}

impl Board {
    /// A board whose nodes stand as they are.
    #[must_use]
    pub const fn new(plan: Vec<Task>, nodes: Vec<Node>) -> Self {
        Self { plan, nodes }
    }

    /// All nodes, in the plan's order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// A node's name for people.
    #[must_use]
    pub fn label(&self, node: usize) -> Label {
        let node = &self.nodes[node];
        Label { task: self.plan[node.task].name.clone(), item: node.item.clone() }
    }

    /// Moves every node that can be moved, and says which; what is skipped may let others be skipped in turn.
    pub fn advance(&mut self) -> Vec<(usize, Move)> {
        let mut moves = Vec::new();
        loop {
            let before = moves.len();
            let verdicts: Vec<Verdict> = (0..self.plan.len()).map(|task| self.verdict(task)).collect();
            for (index, node) in self.nodes.iter_mut().enumerate().filter(|(_, n)| n.mark == Mark::Waiting) {
                let Some(next) = next_move(&self.plan[node.task], &verdicts) else { continue };
                node.mark = match next {
                    Move::Release => Mark::Open,
                    Move::Skip(_) => Mark::Ended(TaskState::Skipped),
                };
                moves.push((index, next));
            }
            if moves.len() == before {
                return moves;
            }
        }
    }

    /// Whether every node has ended.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.nodes.iter().all(|n| matches!(n.mark, Mark::Ended(_)))
    }

    /// The nodes to be run again: those that failed or were cancelled, and those that ended before something upstream
    /// succeeded after all (or just `only`, whatever became of it); and all that are downstream of them.
    #[must_use]
    pub fn to_repeat(&self, only: Option<&Label>) -> Vec<usize> {
        let asked = self.asked(only);
        let downstream = self.downstream_of(&asked);
        let ended = |node: &Node| matches!(node.mark, Mark::Ended(_));
        let is_meant = |index: usize, node: &Node| asked.contains(&index) || downstream[node.task] && ended(node);
        self.nodes.iter().enumerate().filter(|(i, n)| is_meant(*i, n)).map(|(i, _)| i).collect()
    }

    /// A node downstream of those that are to be repeated which was released and has not ended: it may have begun, and
    /// would not see what they come to.
    #[must_use]
    pub fn in_the_way(&self, only: Option<&Label>) -> Option<Label> {
        let downstream = self.downstream_of(&self.asked(only));
        let index = self.nodes.iter().position(|n| downstream[n.task] && n.mark == Mark::Open)?;
        Some(self.label(index))
    }

    /// The nodes that failed, were cancelled or are outdated, or the one that is asked for, where it has ended.
    fn asked(&self, only: Option<&Label>) -> Vec<usize> {
        let is_asked = |index: usize, node: &Node| match only {
            Some(label) => self.label(index) == *label && matches!(node.mark, Mark::Ended(_)),
            None => {
                matches!(node.mark, Mark::Ended(TaskState::Failed | TaskState::Cancelled)) || self.is_outdated(node)
            }
        };
        self.nodes.iter().enumerate().filter(|(i, n)| is_asked(*i, n)).map(|(i, _)| i).collect()
    }

    /// Whether something upstream succeeded after the node had ended: an operator settled it, and the node has not seen
    /// what came of it.
    fn is_outdated(&self, node: &Node) -> bool {
        let after = &self.plan[node.task].after;
        let is_later = |up: &Node| up.mark == Mark::Ended(TaskState::Succeeded) && up.ended_at > node.ended_at;
        matches!(node.mark, Mark::Ended(_)) && self.nodes.iter().any(|up| after.contains(&up.task) && is_later(up))
    }

    /// Of each task, whether it is downstream of one of these nodes.
    fn downstream_of(&self, asked: &[usize]) -> Vec<bool> {
        let mut downstream = vec![false; self.plan.len()];
        loop {
            let is_next = |task: usize| {
                let after = &self.plan[task].after;
                !downstream[task]
                    && after.iter().any(|up| downstream[*up] || asked.iter().any(|i| self.nodes[*i].task == *up))
            };
            match (0..self.plan.len()).find(|task| is_next(*task)) {
                Some(task) => downstream[task] = true,
                None => return downstream,
            }
        }
    }

    fn verdict(&self, task: usize) -> Verdict {
        let mut failed = None;
        for (index, node) in self.nodes.iter().enumerate().filter(|(_, n)| n.task == task) {
            match node.mark {
                Mark::Waiting | Mark::Open => return Verdict::Pending,
                Mark::Ended(TaskState::Succeeded) => {}
                Mark::Ended(state) => {
                    failed.get_or_insert_with(|| format!("{} {}", self.label(index), state.as_str()));
                }
            }
        }
        failed.map_or(Verdict::Passed, Verdict::Failed)
    }
}

fn next_move(task: &Task, verdicts: &[Verdict]) -> Option<Move> {
    let mut failed = None;
    for upstream in &task.after {
        match &verdicts[*upstream] {
            Verdict::Pending => return None,
            Verdict::Passed => {}
            Verdict::Failed(what) => {
                failed.get_or_insert(what);
            }
        }
    }
    match failed {
        Some(what) if !task.after_any_outcome => Some(Move::Skip(format!("its upstream {what}"))),
        _ => Some(Move::Release),
    }
}
