-- Conditions that an operator is to know of, and who was told.

create table bursar.alerts (
    id             bigint generated always as identity primary key,
    key            text not null,
    kind           text not null,
    job            text,
    run_date       date,
    dataset        text,
    customer       text,
    title          text not null,
    text           text not null,
    next_step      text not null,
    state          text not null default 'open',
    raised_at      timestamptz not null default clock_timestamp(),
    last_raised_at timestamptz not null default clock_timestamp(),
    raised_count   bigint not null default 1,
    resolved_at    timestamptz,
    resolution     text,
    constraint alerts_kind_known check (kind in (
        'run_failed',
        'file_late',
        'file_missing',
        'file_changed',
        'file_duplicate',
        'load_held'
    )),
    constraint alerts_state_known check (state in ('open', 'resolved')),
    constraint alerts_resolved_when_over check ((state = 'resolved') = (resolved_at is not null and resolution is not null)),
    constraint alerts_raised_at_least_once check (raised_count > 0)
);

create unique index alerts_one_open on bursar.alerts (key) where state = 'open';

comment on table bursar.alerts is 'Conditions that an operator is to know of: open until they are over.';
comment on column bursar.alerts.id is 'Its number, as in `bursar alerts` and in every notice.';
comment on column bursar.alerts.key is 'What the condition is, in one text: no two open alerts have the same.';
comment on column bursar.alerts.kind is 'run_failed, file_late, file_missing, file_changed, file_duplicate or load_held.';
comment on column bursar.alerts.job is 'The job it concerns, if it does.';
comment on column bursar.alerts.run_date is 'The business day it concerns, if it does.';
comment on column bursar.alerts.dataset is 'The dataset it concerns, if it does.';
comment on column bursar.alerts.customer is 'The customer it concerns, if it does.';
comment on column bursar.alerts.title is 'What is wrong, in one line; as it was raised last.';
comment on column bursar.alerts.text is 'What is known of it; as it was raised last.';
comment on column bursar.alerts.next_step is 'What to do now, as a rule a command; as it was raised last.';
comment on column bursar.alerts.state is 'open; resolved: the condition is over.';
comment on column bursar.alerts.raised_at is 'When it was raised first.';
comment on column bursar.alerts.last_raised_at is 'When it was raised last; each time but the first only counts.';
comment on column bursar.alerts.raised_count is 'How often it was raised while open.';
comment on column bursar.alerts.resolved_at is 'When the condition was over.';
comment on column bursar.alerts.resolution is 'What ended it.';

create table bursar.notices (
    id           uuid primary key default gen_random_uuid(),
    alert_id     bigint not null references bursar.alerts (id) on delete cascade,
    event        text not null,
    created_at   timestamptz not null default clock_timestamp(),
    addressed_at timestamptz,
    constraint notices_event_known check (event in ('raised', 'resolved')),
    constraint notices_one_of_each unique (alert_id, event)
);

create index notices_unaddressed on bursar.notices (created_at) where addressed_at is null;
create index notices_by_age on bursar.notices (created_at);

comment on table bursar.notices is 'What is to be told of an alert; written in the transaction that raised or resolved it.';
comment on column bursar.notices.id is 'Its identity outside: the Idempotency-Key of a webhook, the Message-ID of a mail.';
comment on column bursar.notices.alert_id is 'The alert; its title and text are taken when the notice is sent.';
comment on column bursar.notices.event is 'raised or resolved: each alert has one of each at most.';
comment on column bursar.notices.created_at is 'When the alert was raised or resolved.';
comment on column bursar.notices.addressed_at is 'When the channels were listed in bursar.notice_channels; null until then.';

create table bursar.notice_channels (
    notice_id     uuid not null references bursar.notices (id) on delete cascade,
    channel       text not null,
    state         text not null default 'pending',
    attempts      integer not null default 0,
    next_at       timestamptz not null,
    claimed_until timestamptz,
    last_error    text,
    warned_at     timestamptz,
    sent_at       timestamptz,
    constraint notice_channels_pkey primary key (notice_id, channel),
    constraint notice_channels_channel_known check (channel in ('webhook', 'mail')),
    constraint notice_channels_state_known check (state in ('pending', 'sent', 'given_up')),
    constraint notice_channels_sent_when_so check ((state = 'sent') = (sent_at is not null))
);

create index notice_channels_pending on bursar.notice_channels (channel, next_at) where state = 'pending';

comment on table bursar.notice_channels is 'What became of each notice on each channel.';
comment on column bursar.notice_channels.notice_id is 'The notice.';
comment on column bursar.notice_channels.channel is 'webhook or mail.';
comment on column bursar.notice_channels.state is 'pending; sent: the other side took it; given_up: it took none for a day.';
comment on column bursar.notice_channels.attempts is 'How often it was tried.';
comment on column bursar.notice_channels.next_at is 'Not tried before.';
comment on column bursar.notice_channels.claimed_until is 'Until then one daemon is at it; after that it may be taken for dead, and another tries.';
comment on column bursar.notice_channels.last_error is 'Why the last attempt failed, without secrets.';
comment on column bursar.notice_channels.warned_at is 'When a failure was last put into the log: at most once an hour.';
comment on column bursar.notice_channels.sent_at is 'When it was taken.';
