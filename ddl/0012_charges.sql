-- Charges become invoices at the accounting API, each once. The outbox says what is meant to be done before it is done;
-- whoever takes it up after a crash goes on from there, with the same key.

create schema charges;
comment on schema charges is 'Charges and the accounting invoices made of them. Written by the API and by tasks of the kind invoice_charges.';

create table charges.outbox (
    charge_id uuid not null constraint outbox_pkey primary key,
    state text not null constraint outbox_state_check check (state in ('pending', 'sent', 'accepted', 'succeeded', 'failed', 'uncertain')),
    attempt integer not null constraint outbox_attempt_check check (attempt >= 1),
    idempotency_key uuid not null constraint outbox_idempotency_key_key unique,
    document_number text not null,
    organization_id text,
    stream_customer_id text not null,
    charge_lines text[] not null,
    request bytea not null,
    request_sha256 bytea not null,
    sends integer not null default 0,
    polls integer not null default 0,
    rutter_job_id text,
    response_status integer,
    response text,
    is_accepted boolean not null default false,
    needs_operator boolean not null default false,
    error_code text,
    error text,
    mail_to text,
    next_at timestamptz,
    first_sent_at timestamptz,
    created_at timestamptz not null,
    changed_at timestamptz not null,
    changed_by text not null,
    run_id uuid,
    constraint outbox_error_check check (state not in ('failed', 'uncertain') or error is not null),
    constraint outbox_sent_check check (state not in ('sent', 'accepted', 'uncertain') or first_sent_at is not null)
);
comment on table charges.outbox is 'One row for each charge that is, or is to be, an invoice. A request is stored here before it is sent.';
comment on column charges.outbox.charge_id is 'The charge.';
comment on column charges.outbox.state is 'pending: nothing was sent that was taken; sent: a request is under way; accepted: a job makes the invoice; succeeded: there is an invoice; failed: there is none; uncertain: nobody knows yet.';
comment on column charges.outbox.attempt is 'Counts the keys: 1 for the first.';
comment on column charges.outbox.idempotency_key is 'The key of this attempt''s requests, however often they are sent.';
comment on column charges.outbox.document_number is 'The invoice''s number.';
comment on column charges.outbox.organization_id is 'Whose charge it is, as the charge says.';
comment on column charges.outbox.stream_customer_id is 'The customer in the stream API.';
comment on column charges.outbox.charge_lines is 'The ids of the charge''s lines that are sent, in the order of the request.';
comment on column charges.outbox.request is 'The request''s body, to the byte: what is sent again is the same.';
comment on column charges.outbox.request_sha256 is 'Its hash.';
comment on column charges.outbox.sends is 'How often this attempt''s request was sent.';
comment on column charges.outbox.polls is 'How often its job was asked for.';
comment on column charges.outbox.rutter_job_id is 'The job that makes the invoice; null where none was told.';
comment on column charges.outbox.response_status is 'The status of the last answer; null where none came.';
comment on column charges.outbox.response is 'The last answer, without secrets.';
comment on column charges.outbox.is_accepted is 'Whether the request was accepted, though it failed: a new key is needed then.';
comment on column charges.outbox.needs_operator is 'Whether nothing more is done until somebody says so.';
comment on column charges.outbox.error_code is 'The code of the error, where the other side gave one.';
comment on column charges.outbox.error is 'Why it failed, or is uncertain.';
comment on column charges.outbox.mail_to is 'Who gets the invoice by mail when it is there; null for nobody.';
comment on column charges.outbox.next_at is 'When it is taken up again by itself; null for never.';
comment on column charges.outbox.first_sent_at is 'When this attempt''s request was sent first.';
comment on column charges.outbox.created_at is 'When the charge was first asked for.';
comment on column charges.outbox.changed_at is 'When the row was changed last.';
comment on column charges.outbox.changed_by is 'Who changed it: api, job, daemon, webhook, operator.';
comment on column charges.outbox.run_id is 'The run that asked for it first; null for the API.';
create index outbox_due_idx on charges.outbox (next_at) where next_at is not null;
create index outbox_document_idx on charges.outbox (document_number);
create index outbox_job_idx on charges.outbox (rutter_job_id) where rutter_job_id is not null;

create table charges.history (
    id bigint generated always as identity constraint history_pkey primary key,
    charge_id uuid not null,
    attempt integer not null,
    before text,
    state text not null,
    idempotency_key uuid not null,
    request_sha256 bytea not null,
    rutter_job_id text,
    response_status integer,
    response text,
    error text,
    changed_by text not null,
    at timestamptz not null default clock_timestamp()
);
comment on table charges.history is 'Every change of a charge''s state. Rows are only added.';
comment on column charges.history.id is 'In the order of the changes.';
comment on column charges.history.charge_id is 'The charge.';
comment on column charges.history.attempt is 'Which of its keys was used.';
comment on column charges.history.before is 'The state it left; null for its first.';
comment on column charges.history.state is 'The state it came to.';
comment on column charges.history.idempotency_key is 'The key.';
comment on column charges.history.request_sha256 is 'The hash of the request''s body.';
comment on column charges.history.rutter_job_id is 'The job, where one was told.';
comment on column charges.history.response_status is 'The status of the last answer.';
comment on column charges.history.response is 'The last answer, without secrets.';
comment on column charges.history.error is 'Why it failed, or is uncertain.';
comment on column charges.history.changed_by is 'Who changed it.';
comment on column charges.history.at is 'When.';
create index history_charge_idx on charges.history (charge_id, id);

create function charges.keep_history() returns trigger language plpgsql as $$
begin
    if tg_op = 'INSERT' or (old.state, old.attempt) is distinct from (new.state, new.attempt)
        or old.response_status is distinct from new.response_status or old.error is distinct from new.error then
        insert into charges.history (charge_id, attempt, before, state, idempotency_key, request_sha256, rutter_job_id,
                                     response_status, response, error, changed_by)
        values (new.charge_id, new.attempt, case when tg_op = 'UPDATE' then old.state end, new.state,
                new.idempotency_key, new.request_sha256, new.rutter_job_id, new.response_status, new.response,
                new.error, new.changed_by);
    end if;
    return null;
end
$$;
comment on function charges.keep_history is 'Adds to charges.history what changed in charges.outbox.';
create trigger keep_history after insert or update on charges.outbox
    for each row execute function charges.keep_history();

create function charges.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception 'rows of %.% are only added', tg_table_schema, tg_table_name using errcode = '23001';
end
$$;
comment on function charges.refuse_change is 'Keeps a table''s rows as they were added.';
create trigger refuse_change before update or delete or truncate on charges.history
    for each statement execute function charges.refuse_change();
-- What was begun is not forgotten: without its row a charge would be invoiced again.
create trigger refuse_change before delete or truncate on charges.outbox
    for each statement execute function charges.refuse_change();

create table charges.requests (
    key text not null constraint requests_pkey primary key,
    charge_id uuid not null,
    asked_sha256 bytea not null,
    status integer,
    answer text,
    created_at timestamptz not null,
    answered_at timestamptz,
    constraint requests_answer_check check ((status is null) = (answer is null))
);
comment on table charges.requests is 'Requests of our own clients that came with an Idempotency-Key, and what they were answered.';
comment on column charges.requests.key is 'The client''s key.';
comment on column charges.requests.charge_id is 'The charge it was first used for.';
comment on column charges.requests.asked_sha256 is 'The hash of what was asked with it.';
comment on column charges.requests.status is 'The status of the answer; null until there is a final one.';
comment on column charges.requests.answer is 'The answer, which the same request gets again.';
comment on column charges.requests.created_at is 'When it came first.';
comment on column charges.requests.answered_at is 'When the answer was kept.';

create table charges.acc_uac_invoice (
    id bigint generated always as identity constraint acc_uac_invoice_pkey primary key,
    provider_entity_id text not null,
    platform_id text,
    customer_id text,
    stream_customer_id text,
    status text not null,
    issue_date timestamptz,
    due_date timestamptz,
    currency_code text,
    amount_due numeric,
    total_amount numeric,
    sub_total numeric,
    tax_amount numeric,
    total_discount numeric,
    document_number text,
    memo text,
    pdf_link text,
    email_status text constraint acc_uac_invoice_email_status_check check (email_status in ('SENT', 'FAILED_TO_SEND')),
    pricer_invoice_id uuid not null constraint acc_uac_invoice_pricer_invoice_id_key unique
        constraint acc_uac_invoice_outbox_fkey references charges.outbox,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
comment on table charges.acc_uac_invoice is 'The invoices that the accounting API made, as it answered. One charge has one at most.';
comment on column charges.acc_uac_invoice.id is 'What its lines know it by.';
comment on column charges.acc_uac_invoice.provider_entity_id is 'The accounting API''s id of the invoice.';
comment on column charges.acc_uac_invoice.platform_id is 'The accounting platform''s own id of it.';
comment on column charges.acc_uac_invoice.customer_id is 'The accounting API''s id of the customer.';
comment on column charges.acc_uac_invoice.stream_customer_id is 'The customer in the stream API.';
comment on column charges.acc_uac_invoice.status is 'open, partially_paid, paid, void, draft, unknown, submitted, as it was when the invoice was made.';
comment on column charges.acc_uac_invoice.issue_date is 'Its date.';
comment on column charges.acc_uac_invoice.due_date is 'When it is due.';
comment on column charges.acc_uac_invoice.currency_code is 'The currency of all amounts (ISO 4217).';
comment on column charges.acc_uac_invoice.amount_due is 'What is still due.';
comment on column charges.acc_uac_invoice.total_amount is 'What it comes to.';
comment on column charges.acc_uac_invoice.sub_total is 'Before tax and discounts.';
comment on column charges.acc_uac_invoice.tax_amount is 'The tax.';
comment on column charges.acc_uac_invoice.total_discount is 'The discounts.';
comment on column charges.acc_uac_invoice.document_number is 'Its number.';
comment on column charges.acc_uac_invoice.memo is 'A remark.';
comment on column charges.acc_uac_invoice.pdf_link is 'Where its PDF lay when it was last asked for.';
comment on column charges.acc_uac_invoice.email_status is 'SENT, FAILED_TO_SEND; null where no mail was wanted or it was not tried yet.';
comment on column charges.acc_uac_invoice.pricer_invoice_id is 'The charge.';
comment on column charges.acc_uac_invoice.created_at is 'When it was stored.';
comment on column charges.acc_uac_invoice.updated_at is 'When the row was changed last.';

create table charges.acc_uac_invoice_line (
    invoice_id bigint not null constraint acc_uac_invoice_line_invoice_fkey references charges.acc_uac_invoice,
    position integer not null,
    provider_entity_id text,
    charge_line_id text,
    item_id text,
    description text,
    quantity numeric,
    unit_amount numeric,
    total_amount numeric,
    constraint acc_uac_invoice_line_pkey primary key (invoice_id, position)
);
comment on table charges.acc_uac_invoice_line is 'The lines of the invoices; what the accounting API did not tell of a line is as it was sent.';
comment on column charges.acc_uac_invoice_line.invoice_id is 'The invoice.';
comment on column charges.acc_uac_invoice_line.position is 'Its place, from 1.';
comment on column charges.acc_uac_invoice_line.provider_entity_id is 'The accounting API''s id of the line.';
comment on column charges.acc_uac_invoice_line.charge_line_id is 'The line of the charge; null where it can''t be told.';
comment on column charges.acc_uac_invoice_line.item_id is 'The accounting API''s id of the item.';
comment on column charges.acc_uac_invoice_line.description is 'What it is for.';
comment on column charges.acc_uac_invoice_line.quantity is 'How many.';
comment on column charges.acc_uac_invoice_line.unit_amount is 'What one costs.';
comment on column charges.acc_uac_invoice_line.total_amount is 'What the line comes to.';

create table charges.mails (
    charge_id uuid not null constraint mails_pkey primary key
        constraint mails_invoice_fkey references charges.acc_uac_invoice (pricer_invoice_id),
    recipient text not null,
    state text not null constraint mails_state_check check (state in ('pending', 'sending', 'sent', 'failed')),
    message_id uuid not null,
    attempts integer not null default 0,
    next_at timestamptz,
    error text,
    sent_at timestamptz,
    changed_at timestamptz not null
);
comment on table charges.mails is 'The mails with invoices'' PDFs that are, or were, to be sent: one for each invoice at most.';
comment on column charges.mails.charge_id is 'The charge.';
comment on column charges.mails.recipient is 'Who gets it.';
comment on column charges.mails.state is 'pending; sending: an attempt is under way, or broke off; sent; failed: the last attempt was refused or lost.';
comment on column charges.mails.message_id is 'The same for every attempt, so that the other side can tell a repeated one.';
comment on column charges.mails.attempts is 'How often it was tried.';
comment on column charges.mails.next_at is 'When it is tried again; null for never.';
comment on column charges.mails.error is 'Why the last attempt failed.';
comment on column charges.mails.sent_at is 'When it was taken.';
comment on column charges.mails.changed_at is 'When the row was changed last.';
create index mails_due_idx on charges.mails (next_at) where state <> 'sent';

create table charges.results (
    run_date date not null,
    charge_id uuid not null,
    run_id uuid not null,
    document_number text,
    result text not null constraint results_result_check check (result in ('created', 'refused', 'failed', 'uncertain', 'waiting')),
    code text,
    why text,
    at timestamptz not null,
    constraint results_pkey primary key (run_date, charge_id)
);
comment on table charges.results is 'What the job invoice-charges came to on a run date, charge by charge.';
comment on column charges.results.run_date is 'The run date.';
comment on column charges.results.charge_id is 'The charge.';
comment on column charges.results.run_id is 'The run that said so last.';
comment on column charges.results.document_number is 'The invoice''s number; null where the charge could not be read.';
comment on column charges.results.result is 'created: there is an invoice; refused: the charge can''t be an invoice as it is; failed: the accounting API refused it; uncertain: nobody knows yet; waiting: it is under way.';
comment on column charges.results.code is 'The code of the reason.';
comment on column charges.results.why is 'The reason.';
comment on column charges.results.at is 'When it was found so.';

-- The tables that charges come from where charges.source is "table": made empty, so that they can be tried. Another
-- schema with tables of these names is named by charges.table_schema.
create schema if not exists uac;

create table if not exists uac.uac_customer (
    id uuid not null primary key,
    provider_entity_id text,
    currency_code text,
    email text
);
comment on table uac.uac_customer is 'Customers of the accounting platform.';
comment on column uac.uac_customer.id is 'What uac.customer knows it by.';
comment on column uac.uac_customer.provider_entity_id is 'The accounting API''s id of it.';
comment on column uac.uac_customer.currency_code is 'Its currency (ISO 4217).';
comment on column uac.uac_customer.email is 'Its mail address.';

create table if not exists uac.customer (
    customer_id uuid not null primary key,
    customer_name text,
    customer_email text,
    uac_customer_id text
);
comment on table uac.customer is 'Customers who are charged.';
comment on column uac.customer.customer_id is 'What charges know it by.';
comment on column uac.customer.customer_name is 'Its name.';
comment on column uac.customer.customer_email is 'Its mail address.';
comment on column uac.customer.uac_customer_id is 'The customer of the accounting platform it is reconciled with; null where it is not.';

create table if not exists uac.uac_item (
    id uuid not null primary key,
    provider_entity_id text
);
comment on table uac.uac_item is 'Items of the accounting platform.';
comment on column uac.uac_item.id is 'What uac.product knows it by.';
comment on column uac.uac_item.provider_entity_id is 'The accounting API''s id of it.';

create table if not exists uac.product (
    product_id uuid not null primary key,
    uac_item_id text
);
comment on table uac.product is 'Products.';
comment on column uac.product.product_id is 'What line items know it by.';
comment on column uac.product.uac_item_id is 'The item of the accounting platform it is reconciled with; null where it is not.';

create table if not exists uac.uac_invoice (
    id uuid not null primary key,
    organization_id uuid,
    document_number text,
    issue_date timestamptz,
    due_date timestamptz,
    currency_code text,
    total_amount numeric,
    payment_terms integer,
    customer_id uuid
);
comment on table uac.uac_invoice is 'Charges.';
comment on column uac.uac_invoice.id is 'The charge.';
comment on column uac.uac_invoice.organization_id is 'Whose charge it is.';
comment on column uac.uac_invoice.document_number is 'The number its invoice gets.';
comment on column uac.uac_invoice.issue_date is 'The invoice''s date.';
comment on column uac.uac_invoice.due_date is 'When it is due.';
comment on column uac.uac_invoice.currency_code is 'The currency of all amounts (ISO 4217).';
comment on column uac.uac_invoice.total_amount is 'What it comes to.';
comment on column uac.uac_invoice.payment_terms is 'So many days until it is due.';
comment on column uac.uac_invoice.customer_id is 'Who is charged.';

create table if not exists uac.uac_line_item (
    id uuid not null primary key,
    uac_invoice_id uuid not null,
    description text,
    quantity numeric,
    unit_amount numeric,
    total_amount numeric,
    suppress_line_item boolean,
    product_id uuid
);
comment on table uac.uac_line_item is 'The lines of charges.';
comment on column uac.uac_line_item.id is 'The line; lines are sent in the order of their ids.';
comment on column uac.uac_line_item.uac_invoice_id is 'The charge.';
comment on column uac.uac_line_item.description is 'What it is for.';
comment on column uac.uac_line_item.quantity is 'How many.';
comment on column uac.uac_line_item.unit_amount is 'What one costs.';
comment on column uac.uac_line_item.total_amount is 'What the line comes to.';
comment on column uac.uac_line_item.suppress_line_item is 'Exactly false for a line that is sent.';
comment on column uac.uac_line_item.product_id is 'The product; a line without one is not sent.';
create index if not exists uac_line_item_invoice_idx on uac.uac_line_item (uac_invoice_id);
