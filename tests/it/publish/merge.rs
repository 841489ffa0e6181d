//! Merge by key and append: the other rows stay.

use super::{load, staged, world_with};
use crate::support::{World, ratings};

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_changes_just_what_differs_and_says_so() {
    let world = world_with("mode = \"merge\"\nkey = [\"customer_number\"]").await;
    let first = load(&world, "2025-05-13", &["1,2,3,low-value", "4,5,6,low-value"]);
    assert_eq!(first["publication"]["inserted"], 2, "{first}");
    let again = load(&world, "2025-05-14", &["1,2,3,low-value", "4,5,7,low-value", "8,8,8,high-value"]);
    let publication = &again["publication"];
    assert_eq!(
        (&publication["inserted"], &publication["updated"], &publication["unchanged"]),
        (&1.into(), &1.into(), &1.into()),
        "{again}"
    );
    let same = load(&world, "2025-05-15", &["1,2,3,low-value"]);
    assert_eq!((&same["publication"]["unchanged"], &same["publication"]["updated"]), (&1.into(), &0.into()));
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)", "(4,5,7,low-value)", "(8,8,8,high-value)"]);
    assert_eq!(staged(&world).await, 0);
    assert_eq!(
        world.column("select inserted || '/' || updated || '/' || unchanged from bursar.loads order by id").await,
        ["2/0/0", "1/1/1", "0/0/1"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_contradicts_itself_is_not_merged() {
    let world = world_with("mode = \"merge\"\nkey = [\"customer_number\"]").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    world.deliver("A", ratings(&["1,7,3,low-value", "1,8,3,low-value"]));
    let ran = world.run_job("2025-05-14", &["--customer", "agency_a"]).code(65);
    assert!(ran.messages().contains("several rows with the same key"), "{}", ran.messages());
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_whose_key_no_index_holds_is_a_reject_and_the_others_load() {
    // Nothing in it repeats, so that the server can't compress it.
    let mut seed = 1_u64;
    let mut random = |length: usize| -> String {
        let letter = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(b'!' + u8::try_from(seed >> 33 & 63).expect("six bits")).to_string().replace([',', '"'], "x")
        };
        std::iter::repeat_with(letter).take(length).collect()
    };
    let world = World::new().await;
    let column = |name: &str, kind: &str| format!("[[column]]\nname = \"{name}\"\ntype = \"{kind}\"\n");
    let columns = column("code", "text") + &column("n", "integer") + &column("note", "text");
    let dataset = |mode: &str| {
        format!("name = \"d\"\nfile = \"{{customer}}.csv\"\ntable = \"d_{{customer}}\"\n{mode}\n{columns}")
    };
    let task = "[[task]]\nname = \"load\"\nkind = \"load\"\ndataset = \"d\"\nfor_each = \"customer\"\n";
    world.write("config/jobs/j.toml", format!("name = \"j\"\n{task}"));
    let load = |file: String| {
        world.write("inbox/agency_a.csv", format!("code,n,note\n{file}"));
        world.bursar(&["run-job", "j", "--date", "2026-01-15", "--customer", "agency_a"]).code(0);
    };
    let codes = "select line || ' ' || (errors #>> '{0,column}') || ' ' || (errors #>> '{0,code}') || ' ' || (errors #>> '{0,message}')
                   from bursar.file_invalid_rows where status = 'open' order by line";
    let lengths = "select octet_length(code) || ' ' || octet_length(note) from d_agency_a order by 1";

    world.write("config/datasets/d.toml", dataset("mode = \"merge\"\nkey = [\"code\"]"));
    load(format!("A,1,x\n{},1,x\n{},1,x\nB,1,{}\n", random(4000), random(2692), random(4000)));
    assert_eq!(world.column(lengths).await, ["1 1", "1 4000", "2692 1"]);
    let rejects = world.column(codes).await;
    assert_eq!(rejects.len(), 1, "{rejects:?}");
    assert!(rejects[0].starts_with("3 code too_long "), "{rejects:?}");
    assert!(rejects[0].ends_with("… has 4000 bytes; a key of the table has at most 2692"), "{rejects:?}");
    load(format!("A,1,x\n{},1,x\n", random(2693)));
    assert!(world.column(codes).await[0].contains("has 2693 bytes"));

    world.sql("drop table d_agency_a").await;
    world.write("config/datasets/d.toml", dataset("mode = \"merge\"\nkey = [\"n\", \"code\", \"note\"]"));
    load(format!("{},1,{}\n{},1,{}\n", random(1000), random(1684), random(1000), random(1690)));
    assert_eq!(world.column(lengths).await, ["1000 1684"]);
    assert!(
        world.column(codes).await[0]
            .contains("makes the key (n, code, note) 2712 bytes long; a key of the table has at most 2704")
    );

    world.sql("drop table d_agency_a").await;
    world.write("config/datasets/d.toml", dataset(""));
    load("A,1,x\n".to_owned());
    let partial = "create index on d_agency_a (code) where n = 2";
    world.sql(&format!("create index on d_agency_a (n, note); {partial}")).await;
    load(format!("A,1,{}\n{},1,y\nC,1,{}\n", random(4000), random(4000), random(2684)));
    assert_eq!(world.column(lengths).await, ["1 2684", "4000 1"]);
    assert!(world.column(codes).await[0].starts_with("2 note too_long "));

    world.sql("drop table d_agency_a").await;
    let many = (0..400).map(|n| column(&format!("c{n}"), "text")).collect::<String>();
    world.write("config/datasets/d.toml", dataset("").replace(&columns, &many));
    let header = (0..400).map(|n| format!("c{n}")).collect::<Vec<_>>().join(",");
    // Each value has one byte more in the table, and the row a header of 24.
    let row = |longer: usize| (0..400).map(|n| "x".repeat(19 + usize::from(n < longer))).collect::<Vec<_>>().join(",");
    world.write("inbox/agency_a.csv", format!("{header}\n{}\n{}\n{}\n", row(136), row(137), row(0).replace('x', "xx")));
    world.bursar(&["run-job", "j", "--date", "2026-01-15", "--customer", "agency_a"]).code(0);
    assert_eq!(world.scalar::<i64>("select count(*) from d_agency_a").await, 2, "long values are stored elsewhere");
    assert_eq!(world.scalar::<i64>("select line from bursar.file_invalid_rows where status = 'open'").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn appended_rows_tell_their_run_date_and_a_date_loaded_again_is_there_once() {
    let world = world_with("mode = \"append\"\nrun_date_column = \"run_date\"").await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("consolidated = ", "# consolidated = "));
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    load(&world, "2025-05-14", &["1,2,3,low-value", "2,2,3,low-value"]);
    load(&world, "2025-05-12", &["5,2,3,low-value"]);
    load(&world, "2025-05-14", &["3,2,3,low-value"]);
    assert_eq!(
        world.rows("agency_a").await,
        ["(1,2,3,low-value,2025-05-13)", "(3,2,3,low-value,2025-05-14)", "(5,2,3,low-value,2025-05-12)"]
    );
    assert_eq!(staged(&world).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_file_is_not_merged_over_newer_rows() {
    let world = world_with("mode = \"merge\"\nkey = [\"customer_number\"]").await;
    load(&world, "2025-05-14", &["1,2,3,low-value"]);
    let older = load(&world, "2025-05-13", &["1,9,9,low-value"]);
    assert_eq!(older["state"], "measured");
    assert_eq!((world.rows("agency_a").await, staged(&world).await), (vec!["(1,2,3,low-value)".to_owned()], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_file_is_merged_again_after_an_older_one_was_published_over_it() {
    let world = world_with("mode = \"merge\"\nkey = [\"customer_number\"]").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    load(&world, "2025-05-14", &["1,9,9,low-value"]);
    world.deliver("A", ratings(&["1,2,3,low-value"]));
    world.run_job("2025-05-13", &["--customer", "agency_a", "--publish", "--force"]).code(0);
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)"]);
    load(&world, "2025-05-14", &["1,9,9,low-value"]);
    assert_eq!(world.rows("agency_a").await, ["(1,9,9,low-value)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_lie_in_segments_are_not_doubled_by_a_merge() {
    let world = world_with("publish = \"segments\"").await;
    load(&world, "2025-05-13", &["1,2,3,low-value"]);
    world.sql("create unique index on customer_rating_agency_a (customer_number)").await;
    world.edit("datasets/customer_rating.toml", |text| {
        text.replace("publish = \"segments\"", "mode = \"merge\"\nkey = [\"customer_number\"]")
    });
    world.deliver("A", ratings(&["1,2,4,low-value"]));
    let ran = world.run_job("2025-05-14", &["--customer", "agency_a"]).code(78);
    assert!(ran.messages().contains("lie in segments"), "{}", ran.messages());
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_keeps_rows_out_is_found_out() {
    const TRIGGER: &str = "create function no() returns trigger language plpgsql as 'begin return null; end';
        create trigger no before insert on customer_rating_agency_a for each row execute function no()";
    for keys in [
        "mode = \"merge\"\nkey = [\"customer_number\"]",
        "mode = \"append\"\nrun_date_column = \"run_date\"",
        "publish = \"truncate\"",
        "publish = \"swap\"",
        "publish = \"segments\"",
    ] {
        let world = world_with(keys).await;
        world.edit("datasets/customer_rating.toml", |text| text.replace("consolidated = ", "# consolidated = "));
        world.bursar(&["migrate"]).code(0);
        world.sql(TRIGGER).await;
        world.deliver("A", ratings(&["1,2,3,low-value"]));
        let ran = world.run_job("2025-05-14", &["--customer", "agency_a"]).code(78);
        let told = ran.messages();
        assert!(told.contains("customer_rating_agency_a took 0 of 1 rows"), "{keys}: {told}");
        assert!(told.contains("(trigger no)"), "{keys}: {told}");
        assert_eq!(world.scalar::<i64>("select count(*) from bursar.loads").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_a_publication_lets_nobody_delete_are_the_operators_to_mend() {
    let world = world_with("mode = \"append\"\nrun_date_column = \"run_date\"").await;
    world.edit("datasets/customer_rating.toml", |text| text.replace("consolidated = ", "# consolidated = "));
    world.bursar(&["migrate"]).code(0);
    world.sql("create publication told for table customer_rating_agency_a").await;
    world.deliver("A", ratings(&["1,2,3,low-value"]));
    let ran = world.run_job("2025-05-14", &["--customer", "agency_a"]).code(78);
    assert!(ran.messages().contains("REPLICA IDENTITY"), "{}", ran.messages());
    world.sql("alter table customer_rating_agency_a replica identity full").await;
    world.run_job("2025-05-14", &["--customer", "agency_a"]).code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trigger_that_keeps_corrected_rows_out_is_found_out() {
    let world = world_with("publish = \"truncate\"").await;
    load(&world, "2025-05-13", &["1,2,3,low-value", "x,5,6,low-value"]);
    world
        .sql(
            "create function no() returns trigger language plpgsql as 'begin return null; end';
             create trigger no before insert on customer_rating_agency_a for each row execute function no()",
        )
        .await;
    let path = world.path("corrected.csv").display().to_string();
    world.bursar(&["rejects", "export", "--load", "1", "--file", &path]).code(0);
    let text = std::fs::read_to_string(&path).expect("the export").replace("x,5,6", "4,5,6");
    std::fs::write(&path, text).expect("the correction");
    let told = world.bursar(&["rejects", "redrive", &path, "--load", "1"]).code(78).messages();
    assert!(told.contains("took 0 of 1 rows") && told.contains("(trigger no)"), "{told}");
    assert_eq!(world.rows("agency_a").await, ["(1,2,3,low-value)"]);
}
