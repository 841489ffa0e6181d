//! Which task of a run is next. Pure: it is told how tasks end and says which may start.

use super::job::Task;
use super::task::TaskState;
use std::collections::HashMap;

/// One task of a run: a node of the job's DAG, for one item where it is fanned out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Index of the task in the job.
    pub task: usize,
    /// The item it is for.
    pub item: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Waiting,
    Running,
    Ended(TaskState),
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Start this node.
    Start(usize),
    /// End this node as skipped, because this upstream did not succeed.
    Skip(usize, String),
    /// Nothing can start until a running one ends.
    Wait,
    /// Every node has ended.
    Over,
}

/// The nodes of a run and how far each is.
#[derive(Debug)]
pub struct Board {
    tasks: Vec<Task>,
    nodes: Vec<Node>,
    marks: Vec<Mark>,
}

impl Board {
    /// The nodes of a job: `items` says what each `for_each` goes over.
    #[must_use]
    pub fn new(tasks: &[Task], items: &HashMap<String, Vec<String>>) -> Self {
        let mut nodes = Vec::new();
        for (index, task) in tasks.iter().enumerate() {
            match &task.for_each {
                None => nodes.push(Node { task: index, item: None }),
                Some(over) => {
                    let all = items.get(over).map_or(&[][..], Vec::as_slice);
                    nodes.extend(all.iter().map(|item| Node { task: index, item: Some(item.clone()) }));
                }
            }
        }
        let marks = vec![Mark::Waiting; nodes.len()];
        Self { tasks: tasks.to_vec(), nodes, marks }
    }

    /// All nodes, in the job's order.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The task of a node.
    #[must_use]
    pub fn task(&self, node: usize) -> &Task {
        &self.tasks[self.nodes[node].task]
    }

    /// What to do next.
    #[must_use]
    pub fn next(&self) -> Next {
        for node in 0..self.nodes.len() {
            if self.marks[node] != Mark::Waiting {
                continue;
            }
            match self.upstreams(node) {
                Upstreams::Pending => {}
                Upstreams::Failed(name) if !self.task(node).after_any_outcome => return Next::Skip(node, name),
                Upstreams::Failed(_) | Upstreams::Passed => return Next::Start(node),
            }
        }
        if self.marks.iter().all(|m| matches!(m, Mark::Ended(_))) { Next::Over } else { Next::Wait }
    }

    fn upstreams(&self, node: usize) -> Upstreams {
        let after = &self.task(node).after;
        let mut failed = None;
        for (other, mark) in self.nodes.iter().zip(&self.marks).filter(|(n, _)| after.contains(&n.task)) {
            match mark {
                Mark::Waiting | Mark::Running => return Upstreams::Pending,
                Mark::Ended(TaskState::Succeeded) => {}
                Mark::Ended(state) => {
                    let name = &self.tasks[other.task].name;
                    let item = other.item.as_ref().map_or_else(String::new, |i| format!("[{i}]"));
                    failed.get_or_insert_with(|| format!("{name}{item} {}", state.as_str()));
                }
            }
        }
        failed.map_or(Upstreams::Passed, Upstreams::Failed)
    }

    /// A node was started.
    pub fn start(&mut self, node: usize) {
        self.marks[node] = Mark::Running;
    }

    /// A node has ended.
    pub fn end(&mut self, node: usize, state: TaskState) {
        self.marks[node] = Mark::Ended(state);
    }
}

enum Upstreams {
    Pending,
    Passed,
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(name: &str, for_each: Option<&str>, after: &[usize], any: bool) -> Task {
        Task {
            name: name.into(),
            kind: "k".into(),
            subject: "s".into(),
            for_each: for_each.map(str::to_owned),
            after: after.to_vec(),
            after_any_outcome: any,
        }
    }

    fn board(any: bool) -> Board {
        let tasks = [task("load", Some("customer"), &[], false), task("report", None, &[0], any)];
        Board::new(&tasks, &[("customer".to_owned(), vec!["a".to_owned(), "b".to_owned()])].into())
    }

    #[test]
    fn a_task_starts_when_every_item_of_its_upstream_succeeded() {
        let mut board = board(false);
        board.start(0);
        assert_eq!(board.next(), Next::Start(1));
        board.start(1);
        board.end(1, TaskState::Succeeded);
        assert_eq!(board.next(), Next::Wait);
        board.end(0, TaskState::Succeeded);
        assert_eq!(board.next(), Next::Start(2));
        board.end(2, TaskState::Succeeded);
        assert_eq!(board.next(), Next::Over);
    }

    #[test]
    fn a_failed_upstream_skips_unless_any_outcome_will_do() {
        for (any, expected) in [(false, Next::Skip(2, "load[a] failed".into())), (true, Next::Start(2))] {
            let mut board = board(any);
            board.end(0, TaskState::Failed);
            board.end(1, TaskState::Succeeded);
            assert_eq!(board.next(), expected);
        }
    }
}
