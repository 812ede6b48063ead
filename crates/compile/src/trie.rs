//! The literal part of what rules name: a forest of three tries in one arena.

/// Index of a node.
pub(crate) type Node = u32;

/// No node: the path has left the trie.
pub(crate) const DEAD: Node = u32::MAX;

/// Root for paths, leading slash included.
pub(crate) const PATHS: Node = 0;
/// Root for last components of executables and for applets.
pub(crate) const NAMES: Node = 1;
/// Root for allowed arguments.
pub(crate) const ARGUMENTS: Node = 2;

pub(crate) struct Trie {
    nodes: Vec<NodeData>,
}

#[derive(Default)]
pub(crate) struct NodeData {
    /// Sorted by byte.
    pub(crate) children: Vec<(u8, Node)>,
    pub(crate) depth: u32,
    /// Marks of exact paths and names that end here; they hold for virtual paths too.
    pub(crate) exact: Vec<u32>,
    /// Marks of directories that are this very path.
    pub(crate) directories: Vec<u32>,
    /// States of the nondeterministic automaton that come alive here: behind literal prefixes and directories.
    pub(crate) spawns: Vec<u32>,
    /// This path is a multi-call binary.
    pub(crate) multicall: bool,
    /// Behind `//` of the multi-call binary with this number.
    pub(crate) applets_of: Option<u32>,
    /// Number of the allowed argument that ends here.
    pub(crate) argument: Option<u32>,
}

impl Trie {
    pub(crate) fn new() -> Self {
        Self { nodes: [PATHS, NAMES, ARGUMENTS].map(|_| NodeData::default()).into() }
    }

    pub(crate) fn insert(&mut self, root: Node, text: &[u8]) -> &mut NodeData {
        let node = text.iter().fold(root, |node, &byte| self.child_or_new(node, byte));
        &mut self.nodes[node as usize]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    fn child_or_new(&mut self, node: Node, byte: u8) -> Node {
        let data = &self.nodes[node as usize];
        match data.children.binary_search_by_key(&byte, |&(byte, _)| byte) {
            Ok(at) => data.children[at].1,
            Err(at) => {
                let depth = data.depth + 1;
                let child = Node::try_from(self.nodes.len()).unwrap_or(DEAD);
                self.nodes[node as usize].children.insert(at, (byte, child));
                self.nodes.push(NodeData { depth, ..NodeData::default() });
                child
            }
        }
    }

    /// `None` for [`DEAD`].
    pub(crate) fn get(&self, node: Node) -> Option<&NodeData> {
        self.nodes.get(node as usize)
    }

    pub(crate) fn child(&self, node: Node, byte: u8) -> Node {
        self.get(node)
            .and_then(|data| {
                let at = data.children.binary_search_by_key(&byte, |&(byte, _)| byte).ok()?;
                Some(data.children[at].1)
            })
            .unwrap_or(DEAD)
    }

    pub(crate) fn children(&self, node: Node) -> &[(u8, Node)] {
        self.get(node).map_or(&[], |data| &data.children)
    }

    /// Every byte on any edge.
    pub(crate) fn edge_bytes(&self) -> impl Iterator<Item = u8> {
        let mut used = [false; 256];
        for (byte, _) in self.nodes.iter().flat_map(|node| &node.children) {
            used[usize::from(*byte)] = true;
        }
        (0..=255).filter(move |&byte| used[usize::from(byte)])
    }

    pub(crate) fn sort_marks(&mut self) {
        for node in &mut self.nodes {
            for list in [&mut node.exact, &mut node.directories, &mut node.spawns] {
                list.sort_unstable();
                list.dedup();
            }
        }
    }
}
