use super::*;

fn cover(rows: &mut Rows, case: &str, covers: &[&str]) -> Result<(), String> {
    let covers: Vec<String> = covers.iter().map(|&row| row.to_owned()).collect();
    rows.cover(case, &covers)
}

fn rows() -> Rows {
    let mut rows = Rows::default();
    rows.add(
        "1.1",
        "# a comment\n1.1 commit\n1.1 zone: a number\n1.1 on the wire ! no wire\n",
    )
    .expect("a list");
    rows.add("1.2", "1.2 new\n").expect("a list");
    rows
}

#[test]
fn rows_without_a_case_are_open() {
    let mut rows = rows();
    cover(&mut rows, "a", &["1.1 commit", "1.2 new"]).expect("rows");
    cover(&mut rows, "b", &["1.1 commit"]).expect("rows");
    let open: Vec<String> = rows.open().map(ToString::to_string).collect();
    assert_eq!(open, ["1.1 zone: a number"]);
    assert_eq!(rows.cases(|_| true), 2);
    assert_eq!(rows.cases(|section| section == "1.2"), 1);
}

#[test]
fn a_case_may_not_name_a_row_that_there_is_not() {
    let mut rows = rows();
    let error = cover(&mut rows, "a", &["1.2 old"]).expect_err("no row");
    assert_eq!(error, "a: there is no row `1.2 old`");
    let error = cover(&mut rows, "a", &["1.1 on the wire"]).expect_err("excused");
    assert_eq!(error, "a: `1.1 on the wire` is said to have no case");
}

#[test]
fn a_list_has_each_row_of_its_section_once() {
    let mut rows = rows();
    let error = rows.add("1.3", "1.2 est\n").expect_err("another section");
    assert_eq!(error, "`1.2 est`: expected `1.3 NAME`");
    let error = rows.add("1.2", "1.2 new\n").expect_err("twice");
    assert_eq!(error, "`1.2 new` twice");
}
