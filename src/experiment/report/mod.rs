//! Results for people and for other programs: tables, pages, CSV.

mod exports;
mod report;
mod table;

pub use exports::write_exports;
pub use report::{Report, compare_page, report_page};
pub use table::compare_table;
pub use table::table;
