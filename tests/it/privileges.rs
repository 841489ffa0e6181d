//! `bursar check --database`: everything that a migration and a load need is found out without changing anything, and
//! what it prints is enough for `migrate` to go through.

use crate::support::{Ran, World};

/// A role of a test's own, with no rights on the test's database; dropped at the end.
struct Poor<'w> {
    world: &'w World,
    role: String,
}

impl<'w> Poor<'w> {
    async fn new(world: &'w World) -> Self {
        let role = format!("poor_{}", uuid::Uuid::new_v4().simple());
        let database = &world.database;
        world
            .sql(&format!("create role {role} login; revoke all on database {database} from public; grant connect on database {database} to {role}"))
            .await;
        Self { world, role }
    }

    fn bursar(&self, arguments: &[&str]) -> Ran {
        let url = self.world.database_url().replace("user=bursar", &format!("user={}", self.role));
        Ran::of(self.world.command(arguments).env("DATABASE_URL", url).output().expect("start bursar"))
    }

    /// What `check --database` says, which must hold these words.
    #[track_caller]
    fn refused(&self, words: &[&str]) -> String {
        let said = self.bursar(&["check", "--database"]).code(78).messages();
        for word in words {
            assert!(said.contains(word), "{word:?} is missing: {said}");
        }
        said
    }

    async fn grant(&self, statements: &str) {
        self.world.sql(&statements.replace("ROLE", &self.role).replace("DATABASE", &self.world.database)).await;
    }

    async fn gone(self) {
        self.grant("reassign owned by ROLE to current_user; drop owned by ROLE; drop role ROLE").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_that_migrate_needs_is_named_with_its_grant_and_no_more_is_needed() {
    let world = World::bare().await;
    let poor = Poor::new(&world).await;
    let (role, database) = (poor.role.clone(), &world.database);
    let said = poor.refused(&[
        &format!("the role {role} may not make the schemas billing_export, bursar, bursar_staged, charges,"),
        &format!("grant create on database {database} to {role}, or have an administrator run: create schema"),
        &format!("the role {role} may not make the schemas apalis: grant create on database {database} to {role}"),
        &format!("the role {role} may not make temporary tables: grant temporary on database {database} to {role}"),
        &format!("the role {role} may not make the extension hstore: grant create on database {database} to {role}"),
        &format!("the role {role} may not make public.billing_billable_metric,"),
        &format!("grant create on schema public to {role}"),
    ]);
    assert!(!said.contains("the server refuses"), "reports are not judged by tables that are not there: {said}");

    // PostgreSQL 15's defaults, and CREATE on the database.
    poor.grant("grant create, temporary on database DATABASE to ROLE").await;
    let said = poor.refused(&["may not make", &format!("grant create on schema public to {role}")]);
    assert_eq!(said.lines().count(), 2, "nothing else is lacking: {said}");

    // An administrator makes the schemas that were named; the role has no CREATE on the database.
    poor.grant("revoke create on database DATABASE from ROLE; create extension hstore; create extension pgcrypto")
        .await;
    let said = poor.refused(&["may not make the schemas"]);
    for line in said.lines().filter(|line| line.contains("may not make the schemas")) {
        world.sql(line.split_once("administrator run: ").expect("SQL").1).await;
    }
    poor.grant("grant create on schema public to ROLE").await;
    poor.bursar(&["check", "--database"]).code(0);
    poor.bursar(&["migrate"]).code(0);
    poor.bursar(&["check", "--database"]).code(0);
    poor.bursar(&["migrate"]).code(0);
    world.sql("delete from bursar.migrations where version = (select max(version) from bursar.migrations)").await;
    world.sql("alter schema charges owner to current_user; revoke all on schema charges from public").await;
    poor.refused(&["may not use the schema charges", &format!("grant create on schema charges to {role}")]);
    poor.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_right_that_loads_need_is_named_with_its_grant() {
    let world = World::new().await;
    world.bursar(&["migrate"]).code(0);
    let poor = Poor::new(&world).await;
    let role = poor.role.clone();
    poor.refused(&[
        &format!(
            "the role {role} may not use the schema bursar (owner bursar): grant usage on schema bursar to {role}"
        ),
        &format!("grant create on schema bursar_staged to {role}"),
        "datasets/customer_rating.toml:6: table: the role",
        &format!("grant select, insert, truncate on all tables in schema public to {role}"),
    ]);
    poor.grant(
        "grant temporary on database DATABASE to ROLE; grant create, usage on schema bursar_staged to ROLE;
         grant usage on schema bursar, apalis, receivables, metronome, billing_export, charges, uac to ROLE;
         grant select, insert, truncate on all tables in schema public to ROLE",
    )
    .await;
    poor.refused(&[
        &format!("grant select, insert, update, delete on all tables in schema bursar to {role}"),
        "consolidated: the role",
        "which bursar owns: grant bursar to",
    ]);
    poor.grant("alter table customer_rating_agency_b enable row level security").await;
    poor.refused(&["row security applies to the role", "public.customer_rating_agency_b"]);
    poor.gone().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_somebody_else_uses_is_left_alone() {
    let world = World::bare().await;
    world.sql("create schema charges; create table charges.theirs (a integer); create schema metronome").await;
    let words = "the schema charges is taken: it holds theirs that Bursar did not make, owned by bursar; rename it";
    for command in [&["check", "--database"][..], &["migrate"]] {
        let said = world.bursar(command).code(78).messages();
        assert!(said.contains(words) && !said.contains("metronome"), "{said}");
    }
    world.sql("alter schema charges rename to theirs").await;
    world.bursar(&["check", "--database"]).code(0);
    world.bursar(&["migrate"]).code(0);
}
