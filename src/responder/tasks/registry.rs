//! The tasks by name.

use std::path::PathBuf;
use std::str::FromStr;

use super::{CpuTask, EchoTask, FileTask, Task, TaskError, Withheld};
use crate::wire::TaskName;

impl FromStr for TaskName {
    type Err = TaskError;

    /// # Errors
    /// [`TaskError::Unknown`], which lists the known names.
    fn from_str(name: &str) -> Result<Self, TaskError> {
        Self::ALL
            .into_iter()
            .find(|known| known.name() == name)
            .ok_or_else(|| TaskError::unknown(name, Self::ALL.map(Self::name).join(", ")))
    }
}

/// Configuration of the tasks.
#[derive(Debug, Clone)]
pub struct TasksConfig {
    /// The task for messages without `task`.
    pub default: TaskName,
    /// The folder of the file task.
    pub root: PathBuf,
    /// Files that the file task never reads.
    pub withheld: Withheld,
    /// The file for messages without a filename, relative to `root`.
    pub default_file: String,
    /// Maximum size of a file, in bytes.
    pub max_file_bytes: u64,
    /// Maximum rounds of hashing of a message, at least 1.
    pub max_cpu_rounds: u64,
}

/// The tasks of a responder, shared by its workers.
#[derive(Debug)]
pub struct Tasks {
    default: TaskName,
    file: FileTask,
    echo: EchoTask,
    cpu: CpuTask,
}

impl Tasks {
    /// Sets every task up.
    ///
    /// # Errors
    /// [`TaskError::Root`] when the root of the file task exists and can't be opened as a folder.
    pub fn new(config: TasksConfig) -> Result<Self, TaskError> {
        Ok(Self {
            default: config.default,
            file: FileTask::new(&config.root, config.default_file, config.max_file_bytes, config.withheld)?,
            echo: EchoTask,
            cpu: CpuTask::new(config.max_cpu_rounds),
        })
    }

    /// The task called `name`, or the default one.
    ///
    /// # Errors
    /// [`TaskError::Unknown`] when there is no task of that name.
    pub fn get(&self, name: Option<&str>) -> Result<&dyn Task, TaskError> {
        let name = match name {
            Some(name) => name.parse()?,
            None => self.default,
        };
        Ok(match name {
            TaskName::File => &self.file,
            TaskName::Echo => &self.echo,
            TaskName::Cpu => &self.cpu,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::{Map, json};

    use super::*;
    use crate::responder::tasks::TaskInput;

    fn tasks(default: TaskName, root: &Path) -> Tasks {
        Tasks::new(TasksConfig {
            default,
            root: root.to_owned(),
            withheld: Withheld::default(),
            default_file: "target.txt".to_owned(),
            max_file_bytes: 1_024,
            max_cpu_rounds: 1,
        })
        .unwrap()
    }

    async fn body(tasks: &Tasks, name: Option<&str>) -> String {
        let parameters = Map::new();
        let input = TaskInput { message_id: "abc", filename: None, parameters: &parameters };
        tasks.get(name).unwrap().run(input).await.unwrap().body
    }

    #[tokio::test]
    async fn every_task_is_found_by_its_name() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("target.txt"), "Hello Paul").unwrap();
        let tasks = tasks(TaskName::Echo, root.path());
        assert_eq!(body(&tasks, Some("file")).await, "Hello Paul");
        assert_eq!(body(&tasks, Some("echo")).await, "{}");
        assert!(body(&tasks, Some("cpu")).await.starts_with("ba7816bf"));
    }

    #[tokio::test]
    async fn a_message_that_names_no_task_gets_the_default_one() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(body(&tasks(TaskName::Echo, root.path()), None).await, "{}");
    }

    // The repository's own file, as shown in the README.
    #[tokio::test]
    async fn the_target_of_the_repository_greets_paul() {
        let tasks = tasks(TaskName::File, &Path::new(env!("CARGO_MANIFEST_DIR")).join("files"));
        assert_eq!(body(&tasks, None).await, "Hello Paul");
    }

    #[test]
    fn an_unknown_task_is_an_error_that_lists_the_known_ones() {
        let root = tempfile::tempdir().unwrap();
        let tasks = tasks(TaskName::File, root.path());
        for name in ["sleep", "", "File"] {
            let error = tasks.get(Some(name)).err().unwrap();
            assert_eq!(error.to_string(), format!("there is no task '{name}': the tasks are file, echo, cpu"));
        }
    }

    #[test]
    fn display_json_and_parser_agree_on_the_names() {
        for name in TaskName::ALL {
            assert_eq!(json!(name), json!(name.to_string()));
            assert_eq!(name.name().parse::<TaskName>().unwrap(), name);
        }
    }

    #[test]
    fn workers_of_several_arbiters_can_share_the_tasks() {
        fn shared<T: Send + Sync + 'static>() {}
        shared::<Tasks>();
    }
}
