-- A worker that has ended a task takes up what was offered next without waiting for its message.
create index task_runs_offered on bursar.task_runs (run_id, offered_at, position)
    where state = 'ready' and offered_at is not null;
