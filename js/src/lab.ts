/** The bundle of figures with a view of views/lab: everything of ours (mechviz/bundle.py says which figures these are). */
export { default, openPage } from './index';
import './labviews';
