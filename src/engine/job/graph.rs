//! What waits for what: the upstreams of each task, and that none waits for itself.

use super::LooseTask;
use crate::config::{At, Problems, Source, suggest};
use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

/// The upstreams of a task as indexes into `all`; names that are not there, or twice, are problems.
pub(super) fn upstreams(source: &Source, all: &[LooseTask], i: usize, problems: &mut Problems) -> Vec<usize> {
    let mut found = Vec::new();
    for (k, name) in all[i].after.iter().enumerate() {
        if all[i].after[..k].contains(name) {
            let message = format!("the upstream {name} is there twice");
            problems.push(source.problem(&At::key("task").index(i).then("after").index(k), message));
        }
        match all.iter().position(|t| t.name == *name) {
            Some(upstream) => found.push(upstream),
            None => {
                let others = all.iter().map(|t| t.name.as_str()).filter(|n| *n != all[i].name);
                let message = format!("there is no upstream {name:?} in this job{}", suggest(name, others));
                problems.push(source.problem(&At::key("task").index(i).then("after").index(k), message));
            }
        }
    }
    found
}

/// Tasks that wait for each other, or for themselves, are problems.
pub(super) fn check_cycles(source: &Source, all: &[LooseTask], problems: &mut Problems) {
    let mut graph = DiGraph::<usize, ()>::new();
    let nodes: Vec<_> = (0..all.len()).map(|i| graph.add_node(i)).collect();
    for (i, task) in all.iter().enumerate() {
        for upstream in task.after.iter().filter_map(|name| all.iter().position(|t| t.name == *name)) {
            graph.add_edge(nodes[upstream], nodes[i], ());
        }
    }
    for group in tarjan_scc(&graph) {
        let first = group.iter().map(|n| graph[*n]).min().unwrap_or(0);
        let is_cycle = group.len() > 1 || graph.contains_edge(group[0], group[0]);
        if is_cycle {
            let mut names: Vec<&str> = group.iter().map(|n| all[graph[*n]].name.as_str()).collect();
            names.sort_unstable();
            let message = match &names[..] {
                [_] => "the task waits for itself".to_owned(),
                _ => format!("tasks wait for each other in a cycle: {}", names.join(", ")),
            };
            problems.push(source.problem(&At::key("task").index(first).then("after"), message));
        }
    }
}
