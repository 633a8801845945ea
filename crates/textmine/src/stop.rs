//! Words that say nothing about a fault: our own short lists, sorted, for both languages.

/// English, lower case, after plurals are stemmed; sorted by bytes.
const ENGLISH: &[&str] = &[
    "about", "after", "again", "all", "also", "always", "am", "an", "and", "any", "apr", "are", "as", "at",
    "aug", "be", "because", "been", "before", "being", "between", "both", "but", "by", "can", "com", "could",
    "couldn", "cst", "debug", "dec", "did", "didn", "do", "doe", "doesn", "doing", "don", "done", "during",
    "each", "etc", "feb", "for", "fri", "from", "gmt", "had", "has", "have", "he", "her", "here", "him",
    "his", "how", "http", "https", "if", "in", "info", "into", "is", "isn", "it", "its", "jan", "jul", "jun",
    "just", "mar", "may", "me", "mon", "more", "most", "my", "no", "not", "notice", "nov", "now", "oct",
    "of", "off", "on", "once", "one", "only", "or", "other", "our", "out", "over", "own", "please", "pm",
    "same", "sat", "see", "sep", "shall", "she", "should", "so", "some", "such", "sun", "than", "that",
    "the", "their", "them", "then", "there", "these", "they", "this", "those", "through", "thu", "to", "too",
    "trace", "tue", "under", "up", "us", "utc", "very", "via", "warn", "was", "wasn", "we", "wed", "were",
    "what", "when", "where", "which", "while", "who", "why", "will", "with", "won", "would", "www", "you",
    "your",
];

/// Chinese words of two and more characters (single ones are left out anyway); sorted by bytes.
const CHINESE: &[&str] = &[
    "一个",
    "一些",
    "一次",
    "不过",
    "並且",
    "为了",
    "之前",
    "之后",
    "之间",
    "也许",
    "了解",
    "什么",
    "今天",
    "他们",
    "以下",
    "以及",
    "任何",
    "但是",
    "作为",
    "你们",
    "使用",
    "其中",
    "其他",
    "具有",
    "再次",
    "出现",
    "分钟",
    "刚刚",
    "包括",
    "协助",
    "即将",
    "却是",
    "及其",
    "发生",
    "可以",
    "可能",
    "同时",
    "后来",
    "因为",
    "因此",
    "如下",
    "如果",
    "它们",
    "对于",
    "将会",
    "小时",
    "就是",
    "已经",
    "并且",
    "当前",
    "微秒",
    "怎么",
    "我们",
    "或者",
    "所以",
    "所有",
    "所有的",
    "按照",
    "整个",
    "时候",
    "是否",
    "有关",
    "本次",
    "根据",
    "正在",
    "此时",
    "毫秒",
    "没有",
    "然后",
    "现在",
    "由于",
    "的话",
    "目前",
    "直到",
    "相关",
    "秒钟",
    "立即",
    "经过",
    "而且",
    "虽然",
    "要求",
    "该项",
    "详情",
    "请问",
    "还是",
    "这个",
    "这些",
    "这里",
    "进行",
    "通过",
    "那个",
    "那些",
    "都是",
    "除了",
    "需要",
];

/// Whether a term is left out.
pub(crate) fn is_stop_word(term: &str) -> bool {
    ENGLISH.binary_search(&term).is_ok() || CHINESE.binary_search(&term).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_sorted_and_without_doubles() {
        for list in [ENGLISH, CHINESE] {
            for pair in list.windows(2) {
                assert!(pair[0] < pair[1], "{pair:?}");
            }
        }
        assert!(is_stop_word("the") && is_stop_word("已经") && !is_stop_word("磁盘"));
    }
}
