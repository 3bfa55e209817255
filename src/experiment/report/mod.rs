//! Output of results: tables, HTML pages, CSV.

mod exports;
mod report;
mod table;

pub use exports::write_exports;
pub use report::{PageData, Report, compare_page, report_page};
pub use table::compare_table;
pub use table::table;
