fn variable(name: &str) -> String { std::env::var(name).unwrap_or_else(|_| "unset".to_owned()) }

fn content(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).map_or_else(|_| "none".to_owned(), |text| text.trim().to_owned())
}

fn names(dir: &std::path::Path) -> String {
    let Ok(entries) = std::fs::read_dir(dir) else { return "none".to_owned() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    format!("{names:?}")
}

fn line(path: &std::path::Path, start: &str) -> String {
    content(path).lines().find(|line| line.starts_with(start)).unwrap_or("none").to_owned()
}

fn said(program: &std::path::Path) -> String {
    let output = std::process::Command::new(program).output();
    output.map_or_else(|_| "none".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

// Reads an undeclared input, given its kind and its path. Relative paths are in the package.
fn undeclared(what: &str) -> String {
    let in_package = |path: &str| std::path::Path::new(&variable("CARGO_MANIFEST_DIR")).join(path);
    match what.split('#').collect::<Vec<_>>()[..] {
        ["variable", name] => variable(name),
        ["named", name, start] => content(&in_package(&format!("{start}-{}.txt", variable(name)))),
        ["content", path] => content(&in_package(path)),
        ["names", dir] => names(&in_package(dir)),
        ["line", start, path] => line(&in_package(path), start),
        ["tool", name] => said(name.as_ref()),
        _ => panic!("{what}"),
    }
}
