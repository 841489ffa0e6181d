-- Keys of clients are forgotten after a time; those are found by it.
create index requests_created_at_idx on charges.requests (created_at);
comment on table charges.requests is 'Requests of our own clients that came with an Idempotency-Key in the last 30 days, and what they were answered.';
